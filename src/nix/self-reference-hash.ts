import { createHash, type Hash } from 'node:crypto'
import type { HashAlgorithm } from './hash.ts'

/**
 * The hash of bytes in which a path's own hash part occurs, as Nix makes it for content addresses of paths that refer to
 * themselves (`HashModuloSink`): every occurrence counts as zeros, and the positions of all of them follow at the end, as
 * `|` and decimal digits.
 */
export class SelfReferenceHash {
  readonly #hash: Hash
  readonly #hashPart: Buffer
  readonly #blank: Buffer
  readonly #positions: number[] = []
  /** The last bytes, in which an occurrence may have begun. */
  #rest: Buffer = Buffer.alloc(0)
  #position = 0

  /** @param hashPart 32 nix32 characters */
  constructor(algorithm: HashAlgorithm, hashPart: string) {
    this.#hash = createHash(algorithm)
    this.#hashPart = Buffer.from(hashPart, 'latin1')
    this.#blank = Buffer.alloc(this.#hashPart.length)
  }

  /** Number of occurrences so far. */
  get found(): number {
    return this.#positions.length
  }

  update(chunk: Uint8Array): void {
    const bytes = Buffer.concat([this.#rest, chunk])
    for (let at = bytes.indexOf(this.#hashPart); at >= 0; at = bytes.indexOf(this.#hashPart, at)) {
      this.#positions.push(this.#position + at)
      this.#blank.copy(bytes, at)
    }
    const settled = Math.max(0, bytes.length - this.#hashPart.length + 1)
    this.#hash.update(bytes.subarray(0, settled))
    this.#position += settled
    this.#rest = bytes.subarray(settled)
  }

  digest(): Buffer {
    this.#hash.update(this.#rest)
    for (const position of this.#positions) this.#hash.update(`|${position}`)
    return this.#hash.digest()
  }
}
