/**
 * Buffers of one size that are used again and again.
 *
 * Node counts the memory of buffers apart from V8's heap, and answers a stream of fresh ones with full collections: a server
 * that copies gigabytes through new buffers spends more time on collecting them than on copying. Whoever is done with
 * a buffer gives it back; one that is never given back is collected as ever.
 */
export class ChunkPool {
  /** Length of every buffer in bytes. */
  readonly size: number
  readonly #limit: number
  readonly #free = new Set<ArrayBufferLike>()

  /** @param limit most buffers that wait to be used again */
  constructor(size: number, limit: number) {
    this.size = size
    this.#limit = limit
  }

  /** Number of buffers that wait. */
  get free(): number {
    return this.#free.size
  }

  /** A buffer with whatever is in it. */
  take(): Buffer {
    for (const memory of this.#free) {
      this.#free.delete(memory)
      return Buffer.from(memory)
    }
    return Buffer.allocUnsafeSlow(this.size)
  }

  /**
   * Takes a buffer, or a part of one, back. Nobody may read or write it from now on. What is not of this size, and what was
   * given back already, is left alone.
   */
  give(chunk: Uint8Array): void {
    if (chunk.buffer.byteLength !== this.size || this.#free.size >= this.#limit) return
    this.#free.add(chunk.buffer)
  }
}
