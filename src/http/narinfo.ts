import { hash } from 'node:crypto'

import { LRUCache } from 'lru-cache'

import { nix32Encode } from '../nix/base32.ts'
import { formatNarInfo, type NarInfo } from '../nix/narinfo.ts'
import type { PathInfo } from '../nix/path-info.ts'
import { fingerprint, parseSignature, type SecretKey, sign } from '../nix/signature.ts'
import type { PackageStore, StoredPackage } from '../store/api.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import { NARINFO_CACHE_SIZE, NARINFO_TTL, NARINFO_TTL_WITHOUT_GZIP } from './limits.ts'

/** Media type of narinfos. */
export const NARINFO_TYPE = 'text/x-nix-narinfo'

/** URL of a tree's plain NAR, relative to the cache's root. It works for ever. */
export function plainNarUrl(tree: string): string {
  return `nar/${tree}.nar`
}

/** URL of a tree's gzip NAR, relative to the cache's root. `id` is the body's. */
export function gzipNarUrl(tree: string, id: string): string {
  return `nar/${tree}.${id}.nar.gz`
}

/**
 * The narinfo that clients are given for a package: it offers the gzip NAR when that has been worked out and the plain
 * one until then, and has the given signatures after those that came with the package. A signature that came and is
 * none is left out, because Nix would refuse the whole narinfo for it.
 */
export function servedNarInfo(stored: StoredPackage, ownSignatures: readonly string[]): NarInfo {
  const { info, tree, gzip } = stored
  const signatures = [...new Set([...info.signatures.filter(isSignature), ...ownSignatures])]
  if (gzip === undefined) {
    const file = {
      url: plainNarUrl(tree),
      compression: 'none',
      fileHash: info.narHash,
      fileSize: info.narSize,
    }
    return { ...info, ...file, signatures }
  }
  const fileHash = { algorithm: 'sha256', digest: gzip.sha256 } as const
  const file = { url: gzipNarUrl(tree, gzip.id), compression: 'gzip', fileHash, fileSize: gzip.size }
  return { ...info, ...file, signatures }
}

/** URL of a NAR that is named before its tree is known, relative to the cache's root. It works for ever. */
export function packageNarUrl({ storePath, narHash }: PathInfo): string {
  return `nar/${storePath.hash}-${nix32Encode(narHash.digest)}.nar`
}

/**
 * The narinfo of a package that is on its way and that a trusted key has signed. The node signs the same facts: it vouches
 * for them by the signature that it has checked, and serves nothing that does not prove them.
 */
export function expectedNarInfo(info: PathInfo, keys: readonly SecretKey[]): string {
  const own = keys.map((key) => sign(key, info))
  const signatures = [...new Set([...info.signatures.filter(isSignature), ...own])]
  const file = {
    url: packageNarUrl(info),
    compression: 'none',
    fileHash: info.narHash,
    fileSize: info.narSize,
  }
  return formatNarInfo({ ...info, ...file, signatures })
}

/** A narinfo ready to be sent. */
export interface RenderedNarInfo {
  /**
   * The bytes, one character each (`latin1`). Node sends headers and body in one write when the body is such a string,
   * which costs 8 % less CPU a request than a buffer.
   */
  readonly body: string
  /** Strong, with its quotes. */
  readonly etag: string
  /** Names and values of the headers of the whole answer, one after the other, as `writeHead` takes them. */
  readonly headers: string[]
}

interface Entry extends RenderedNarInfo {
  /** Own signatures, and what they are over: kept when the entry is made again. */
  readonly fingerprint: string
  readonly signatures: readonly string[]
  /** By the renderer's clock. */
  readonly expires: number
}

/** What an entry takes in memory beside its text, roughly. */
const ENTRY_OVERHEAD = 1024

export interface NarInfoComponents {
  readonly store: PackageStore
  /** Keys whose signatures are added. */
  readonly keys: readonly SecretKey[]
  /** Clock in milliseconds; `performance.now` unless given. */
  readonly now?: () => number
}

/** Renders narinfos and keeps the ready bytes for a while. */
export class NarInfoRenderer {
  readonly #store: PackageStore
  readonly #keys: readonly SecretKey[]
  readonly #now: () => number
  readonly #entries = new LRUCache<string, Entry>({
    maxSize: NARINFO_CACHE_SIZE,
    sizeCalculation: (entry) => entry.body.length + ENTRY_OVERHEAD,
  })

  constructor(components: NarInfoComponents) {
    this.#store = components.store
    this.#keys = components.keys
    this.#now = components.now ?? (() => performance.now())
  }

  /** The narinfo when it is in memory, still good, and its package still published. Never waits. */
  cached(hashPart: string): RenderedNarInfo | undefined {
    const entry = this.#entries.get(hashPart)
    if (entry === undefined || entry.expires < this.#now()) return undefined
    return this.#store.has(hashPart) ? entry : undefined
  }

  /** The narinfo of a published package. Throws what the store throws when the package cannot be read. */
  async render(hashPart: string, options: AbortOptions): Promise<RenderedNarInfo | undefined> {
    const stored = this.#store.has(hashPart) ? await this.#store.package(hashPart, options) : undefined
    if (stored === undefined) {
      this.#entries.delete(hashPart)
      return undefined
    }
    const entry = this.#make(stored, this.#entries.get(hashPart))
    this.#entries.set(hashPart, entry)
    return entry
  }

  #make(stored: StoredPackage, previous: Entry | undefined): Entry {
    const signed = fingerprint(stored.info)
    const signatures =
      previous?.fingerprint === signed ? previous.signatures : this.#keys.map((key) => sign(key, stored.info))
    const bytes = Buffer.from(formatNarInfo(servedNarInfo(stored, signatures)))
    const ttl = stored.gzip === undefined ? NARINFO_TTL_WITHOUT_GZIP : NARINFO_TTL
    const etag = `"${hash('sha256', bytes, 'base64url')}"`
    return {
      body: bytes.toString('latin1'),
      etag,
      headers: ['Content-Type', NARINFO_TYPE, 'ETag', etag, 'Content-Length', String(bytes.length)],
      fingerprint: signed,
      signatures,
      expires: this.#now() + ttl,
    }
  }
}

function isSignature(text: string): boolean {
  try {
    parseSignature(text)
    return true
  } catch {
    return false
  }
}
