import { createHash } from 'node:crypto'
import { nix32Encode } from './base32.ts'
import { ContentAddressFormatError } from './errors.ts'
import { formatHash, hashEquals, isHashAlgorithm, type NixHash, parseHash } from './hash.ts'
import type { PathInfo } from './path-info.ts'
import { quote } from './quote.ts'
import { compareStorePaths, StorePath } from './store-path.ts'

/**
 * What the hash of a content address is over: `text` and `flat` the bytes of the one file (the former with references),
 * `nar` the NAR, `git` the git object.
 */
export type ContentAddressMethod = 'text' | 'flat' | 'nar' | 'git'

/** A content address: how a path's hash part follows from its contents. */
export interface ContentAddress {
  readonly method: ContentAddressMethod
  readonly hash: NixHash
}

const PREFIXES: Readonly<Record<ContentAddressMethod, string>> = {
  text: 'text:',
  flat: 'fixed:',
  nar: 'fixed:r:',
  git: 'fixed:git:',
}

const FOLDED_SIZE = 20

/**
 * Reads Nix's text form: `text:sha256:…`, `fixed:<algorithm>:…`, `fixed:r:<algorithm>:…` or `fixed:git:<algorithm>:…`, the
 * hash in nix32, hex or base 64.
 *
 * @throws ContentAddressFormatError
 */
export function parseContentAddress(text: string): ContentAddress {
  const match = /^(text:|fixed:|fixed:r:|fixed:git:)([a-z0-9]+):([^:-]+)$/.exec(text)
  const [, prefix, algorithm, digest] = match ?? []
  const method = (Object.keys(PREFIXES) as ContentAddressMethod[]).find((key) => PREFIXES[key] === prefix)
  if (
    method === undefined ||
    algorithm === undefined ||
    digest === undefined ||
    !isHashAlgorithm(algorithm)
  ) {
    throw malformed(text)
  }
  if (method === 'text' && algorithm !== 'sha256') throw malformed(text)
  if (method === 'git' && algorithm !== 'sha1' && algorithm !== 'sha256') throw malformed(text)
  try {
    return { method, hash: parseHash(digest, algorithm) }
  } catch (cause) {
    throw malformed(text, cause)
  }
}

/** The content address in Nix's text form, its hash in nix32. */
export function formatContentAddress(ca: ContentAddress): string {
  return `${PREFIXES[ca.method]}${formatHash(ca.hash, 'nix32')}`
}

/**
 * The store path of a content-addressed object.
 *
 * @param references what the object refers to, without itself, in any order
 * @param self whether it also refers to itself
 * @returns `undefined` when an object of this method cannot have these references: only `text` and `nar` with SHA-256 can
 *   have any, only the latter itself
 * @throws StorePathError when the name or the store directory is not valid
 */
export function contentAddressedPath(
  ca: ContentAddress,
  name: string,
  references: readonly StorePath[],
  storeDir: string,
  self = false,
): StorePath | undefined {
  const { method, hash } = ca
  if (method === 'text')
    return self ? undefined : makePath(withReferences('text', references), hash, name, storeDir)
  if (method === 'nar' && hash.algorithm === 'sha256') {
    const type = `${withReferences('source', references)}${self ? ':self' : ''}`
    return makePath(type, hash, name, storeDir)
  }
  if (self || references.length > 0) return undefined
  const ingestion = { flat: '', nar: 'r:', git: 'git:' }[method]
  const inner = sha256(`fixed:out:${ingestion}${formatHash(hash, 'base16')}:`)
  return makePath('output:out', { algorithm: 'sha256', digest: inner }, name, storeDir)
}

/**
 * Compares a path's content address with the path.
 *
 * `ok` means that the path is the one that its content address and references make, and, where the NAR hash is what the
 * address is over, that they are equal. For the other addresses the contents remain to be compared with the address by
 * whoever has them: `text`, `flat` and `git` always, `nar` with another algorithm than SHA-256 or a self reference.
 *
 * @returns `absent` when the path has no content address; `mismatch` also when it cannot be read
 */
export function checkContentAddress(info: PathInfo): 'ok' | 'mismatch' | 'absent' {
  if (info.ca === undefined) return 'absent'
  let ca: ContentAddress
  try {
    ca = parseContentAddress(info.ca)
  } catch {
    return 'mismatch'
  }
  const { storePath } = info
  const others = info.references.filter((reference) => !reference.equals(storePath))
  const self = others.length < info.references.length
  const path = contentAddressedPath(ca, storePath.name, others, storePath.storeDir, self)
  if (path === undefined || !path.equals(storePath)) return 'mismatch'
  const overNar = ca.method === 'nar' && ca.hash.algorithm === 'sha256' && !self
  return overNar && !hashEquals(ca.hash, info.narHash) ? 'mismatch' : 'ok'
}

function withReferences(type: string, references: readonly StorePath[]): string {
  return [type, ...[...references].sort(compareStorePaths).map(String)].join(':')
}

function makePath(type: string, inner: NixHash, name: string, storeDir: string): StorePath {
  const digest = sha256(`${type}:${formatHash(inner, 'base16')}:${storeDir}:${name}`)
  const folded = Buffer.alloc(FOLDED_SIZE)
  for (const [index, byte] of digest.entries()) folded[index % FOLDED_SIZE]! ^= byte
  return new StorePath(nix32Encode(folded), name, storeDir)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function malformed(text: string, cause?: unknown): ContentAddressFormatError {
  return new ContentAddressFormatError(
    `${quote(text)} is not a content address: it must be text:sha256:…, fixed:<algorithm>:… or fixed:r:<algorithm>:…`,
    { cause },
  )
}
