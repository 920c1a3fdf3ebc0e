/** Memory that threads share. */
export type SharedBuffer = Buffer<SharedArrayBuffer>

/**
 * A bounded number of buffers of one size that several threads can read and write, used again and again. V8 does not count
 * shared memory, so what is dropped would lie about for long: here there is never more than the bound.
 */
export class SharedChunks {
  /** Length of every buffer in bytes. */
  readonly size: number
  /** Buffers that may be there at once. */
  readonly limit: number
  readonly #free: SharedArrayBuffer[] = []
  #made = 0

  constructor(size: number, limit: number) {
    this.size = size
    this.limit = limit
  }

  /** Buffers that can be taken now. */
  get available(): number {
    return this.limit - this.#made + this.#free.length
  }

  /** A buffer with whatever is in it. @throws RangeError when none is available */
  take(): SharedBuffer {
    const memory = this.#free.pop()
    if (memory !== undefined) return Buffer.from(memory)
    if (this.#made === this.limit) throw new RangeError(`all of ${this.limit} shared buffers are in use`)
    this.#made++
    return Buffer.from(new SharedArrayBuffer(this.size))
  }

  /** Takes a buffer, or a part of one, back. No thread may read or write it from now on. */
  give(chunk: SharedBuffer): void {
    if (!this.#free.includes(chunk.buffer)) this.#free.push(chunk.buffer)
  }
}
