import { createHash } from 'node:crypto'
import { ChunkPool } from '../../util/chunk-pool.ts'

/**
 * Length of a chunk: the payload of four side-band packets, and less than 256 KiB also with their headers.
 */
const CHUNK_SIZE = 4 * 65_515

/** Chunks of all packs that wait to be used again. */
const FREE_CHUNKS = 8

const memory = new ChunkPool(CHUNK_SIZE, FREE_CHUNKS)

/** Collects the bytes of a pack that is sent into chunks, and makes its checksum. */
export class PackChunks {
  readonly #hash = createHash('sha1')
  #chunk: Buffer | undefined
  #used = 0
  readonly #ready: Buffer[] = []
  readonly #reuse: boolean

  /** @param reuse whether the memory of a chunk is used again when the next one is asked for */
  constructor(reuse: boolean) {
    this.#reuse = reuse
  }

  /** Adds bytes. They are copied. */
  write(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.length; ) {
      this.#chunk ??= this.#reuse ? memory.take() : Buffer.allocUnsafeSlow(CHUNK_SIZE)
      const length = Math.min(CHUNK_SIZE - this.#used, bytes.length - offset)
      this.#chunk.set(length === bytes.length ? bytes : bytes.subarray(offset, offset + length), this.#used)
      this.#used += length
      offset += length
      if (this.#used === CHUNK_SIZE) this.#complete()
    }
  }

  /** Hands over the chunks that are complete, once. */
  *ready(): Generator<Buffer, void> {
    for (let chunk = this.#ready.shift(); chunk !== undefined; chunk = this.#ready.shift()) {
      yield chunk
      if (this.#reuse) memory.give(chunk)
    }
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
