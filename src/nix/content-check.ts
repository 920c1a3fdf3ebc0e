import { createHash, type Hash } from 'node:crypto'
import { GachixError } from '../util/errors.ts'
import { type ContentAddress, checkContentAddress, parseContentAddress } from './content-address.ts'
import { formatHash, hashEquals, type NixHash } from './hash.ts'
import type { NarHandler } from './nar/handler.ts'
import { NarReader } from './nar/reader.ts'
import type { PathInfo } from './path-info.ts'
import { SelfReferenceHash } from './self-reference-hash.ts'
import type { StorePath } from './store-path.ts'

/** Mentions of its own hash part that a path may have; each is remembered to the end. */
const MAX_SELF_REFERENCES = 1_000_000

/** A path is not what its content address says, or has none that can be proven. */
export class ContentAddressMismatchError extends GachixError {
  constructor(path: StorePath, reason: string, options?: ErrorOptions) {
    super('ERR_CONTENT_ADDRESS_MISMATCH', `${path} is not proven by its content address: ${reason}`, options)
  }
}

/** Compares a NAR that streams by with a path's content address. */
export interface ContentCheck {
  /** Takes the next bytes of the NAR. */
  update(chunk: Uint8Array): void
  /** To be called at the NAR's end. @throws ContentAddressMismatchError */
  finish(): void
}

/**
 * A check that proves, without any signature, that a NAR is the contents that a path's name stands for: the path must be the one that
 * content address and references make, and the contents must have the address's hash. For `text:` and `fixed:` that is the hash of
 * the one file, for `fixed:r:` that of the NAR; of a path that refers to itself that of the NAR with its own hash part
 * blanked out (Nix's hash modulo).
 *
 * @returns `undefined` when the path has no content address, or one over Git objects (`fixed:git:`)
 */
export function createContentCheck(info: PathInfo): ContentCheck | undefined {
  if (info.ca === undefined) return undefined
  if (checkContentAddress(info) === 'mismatch')
    return refusing(info, 'its path is not the one that the address makes')
  const ca = parseContentAddress(info.ca)
  const sink = sinkFor(ca, info)
  if (sink === undefined) return undefined
  return {
    update(chunk) {
      sink.update(chunk)
      if (sink instanceof SelfReferenceHash && sink.found > MAX_SELF_REFERENCES)
        throw new ContentAddressMismatchError(
          info.storePath,
          `it names itself more than ${MAX_SELF_REFERENCES} times`,
        )
    },
    finish() {
      const actual: NixHash = { algorithm: ca.hash.algorithm, digest: sink.digest() }
      if (hashEquals(actual, ca.hash)) return
      const [found, expected] = [formatHash(actual, 'nix32'), formatHash(ca.hash, 'nix32')]
      throw new ContentAddressMismatchError(info.storePath, `its contents have ${found}, not ${expected}`)
    },
  }
}

/** What makes of a NAR the hash that an address of this kind is over. */
interface DigestSink {
  update(chunk: Uint8Array): void
  digest(): Uint8Array
}

function sinkFor(
  { method, hash }: ContentAddress,
  { storePath, references }: PathInfo,
): DigestSink | undefined {
  switch (method) {
    case 'git':
      return undefined
    case 'text':
    case 'flat':
      return new FileHash(storePath, createHash(hash.algorithm))
    case 'nar':
      return references.some((reference) => reference.equals(storePath))
        ? new SelfReferenceHash(hash.algorithm, storePath.hash)
        : createHash(hash.algorithm)
  }
}

/** Hashes the contents of a NAR that is one plain file. */
class FileHash implements DigestSink, NarHandler {
  readonly #path: StorePath
  readonly #hash: Hash
  readonly #reader = new NarReader(this)

  constructor(path: StorePath, hash: Hash) {
    this.#path = path
    this.#hash = hash
  }

  update(chunk: Uint8Array): void {
    if (this.#reader.push(chunk) < chunk.length) throw this.#refuse('more bytes follow its NAR')
  }

  digest(): Uint8Array {
    this.#reader.finish()
    return this.#hash.digest()
  }

  fileStart(executable: boolean): void {
    if (executable) throw this.#refuse('it is executable')
  }

  fileData(chunk: Uint8Array): void {
    this.#hash.update(chunk)
  }

  fileEnd(): void {}

  directoryStart(): void {
    throw this.#refuse('it is a directory, where the address is that of a file')
  }

  symlink(): void {
    throw this.#refuse('it is a symbolic link, where the address is that of a file')
  }

  entry(): void {}

  directoryEnd(): void {}

  #refuse(reason: string): ContentAddressMismatchError {
    return new ContentAddressMismatchError(this.#path, reason)
  }
}

function refusing(info: PathInfo, reason: string): ContentCheck {
  return {
    update() {},
    finish() {
      throw new ContentAddressMismatchError(info.storePath, reason)
    },
  }
}
