import { createHash } from 'node:crypto'

/**
 * Length of a chunk: the payload of four side-band packets, and less than 256 KiB also with their headers.
 */
const CHUNK_SIZE = 4 * 65_515

const NONE: readonly Buffer[] = []

/** Collects the bytes of a pack that is sent into chunks, and makes its checksum. */
export class PackChunks {
  readonly #hash = createHash('sha1')
  #chunk: Buffer | undefined
  #used = 0
  readonly #ready: Buffer[] = []

  /** Adds bytes. They are copied. */
  write(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.length; ) {
      const space = this.space()
      const length = Math.min(space.length, bytes.length - offset)
      space.set(offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length))
      this.filled(length)
      offset += length
    }
  }

  /** Room in the chunk under way, at least one byte, for bytes that are read in place; see `filled`. */
  space(): Buffer {
    if (this.#chunk === undefined) {
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_SIZE)
      this.#used = 0
    }
    return this.#chunk.subarray(this.#used)
  }

  /** Tells that the first `length` bytes of `space()` are the next ones of the pack. */
  filled(length: number): void {
    this.#used += length
    if (this.#chunk !== undefined && this.#used === this.#chunk.length) this.#complete()
  }

  /** The chunks that are complete. They are handed over once, and are the receiver's own. */
  ready(): readonly Buffer[] {
    return this.#ready.length === 0 ? NONE : this.#ready.splice(0)
  }

  /** Adds the checksum of all bytes; the last chunk is complete then. */
  finish(): void {
    this.#complete()
    this.#ready.push(this.#hash.digest())
  }

  #complete(): void {
    if (this.#chunk === undefined || this.#used === 0) return
    const chunk = this.#chunk.subarray(0, this.#used)
    this.#hash.update(chunk)
    this.#ready.push(chunk)
    this.#chunk = undefined
    this.#used = 0
  }
}
