/** Size of the chunks of a body: large enough that a chunk's cost is its bytes, small enough to bound memory. */
export const BODY_CHUNK = 256 * 1024

/**
 * Collects the bytes of a body, or of a range of it, into chunks. The producer asks `skip` before it makes a piece,
 * so that what lies before the range costs nothing.
 */
export class BodyWriter {
  readonly #end: number
  readonly #start: number
  #position = 0
  /** Bytes of the range that are in chunks. */
  #produced = 0
  #buffer: Buffer | undefined
  #used = 0
  readonly #ready: Buffer[] = []

  constructor(start: number, end: number) {
    this.#start = start
    this.#end = end
  }

  /** Whether all bytes of the range are there. */
  get done(): boolean {
    return this.#position >= this.#end
  }

  /** Position in the whole body of the next byte to come. */
  get position(): number {
    return this.#position
  }

  /** Bytes between the position and the end of the range. */
  get left(): number {
    return this.#end - this.#position
  }

  /** Passes over `length` bytes when all of them lie before the range, and tells whether it did. */
  skip(length: number): boolean {
    if (this.#position + length > this.#start) return false
    this.#position += length
    return true
  }

  /** Bytes of the next `length` that lie before the range. */
  before(length: number): number {
    return Math.min(length, Math.max(0, this.#start - this.#position))
  }

  /** Adds the next bytes of the body; those outside the range are left out. They are copied. */
  write(bytes: Uint8Array): void {
    const from = this.before(bytes.length)
    const to = Math.min(bytes.length, this.#end - this.#position)
    this.#position += bytes.length
    for (let offset = from; offset < to; ) {
      const space = this.space()
      const part = bytes.subarray(offset, Math.min(to, offset + space.length))
      space.set(part)
      this.#advance(part.length)
      offset += part.length
    }
  }

  /** Passes over bytes that lie before the range without having them. */
  pass(length: number): void {
    this.#position += length
  }

  /** Room in the chunk under way, at least one byte, for bytes that are read in place; see `filled`. */
  space(): Buffer {
    if (this.#buffer === undefined) {
      this.#buffer = Buffer.allocUnsafeSlow(
        Math.max(1, Math.min(BODY_CHUNK, this.#end - this.#start - this.#produced)),
      )
      this.#used = 0
    }
    return this.#buffer.subarray(this.#used)
  }

  /** Tells that the first `length` bytes of `space()` are the next bytes of the body, all inside the range. */
  filled(length: number): void {
    this.#position += length
    this.#advance(length)
  }

  /** A chunk that is complete, if there is one. */
  shift(): Buffer | undefined {
    return this.#ready.shift()
  }

  /** The last, shorter chunk. */
  rest(): Buffer | undefined {
    const rest = this.#buffer?.subarray(0, this.#used)
    this.#buffer = undefined
    return rest === undefined || rest.length === 0 ? undefined : rest
  }

  #advance(length: number): void {
    this.#used += length
    this.#produced += length
    if (this.#buffer !== undefined && this.#used === this.#buffer.length) {
      this.#ready.push(this.#buffer)
      this.#buffer = undefined
    }
  }
}
