import { ChunkPool } from '../util/chunk-pool.ts'

/** Size of the chunks of a body: large enough that a chunk's cost is its bytes, small enough to bound memory. */
export const BODY_CHUNK = 256 * 1024
/** Chunks that wait to be used again. */
const FREE_CHUNKS = 64
/** Bodies and ends of bodies up to this size get memory of their own: a chunk would be mostly empty. */
const SMALL_REST = 16 * 1024

/** Memory for the chunks of bodies, and for what they are made from. */
export function createBodyChunks(): ChunkPool {
  return new ChunkPool(BODY_CHUNK, FREE_CHUNKS)
}

/** Where a writer has its chunks from. */
export type ChunkSource = Pick<ChunkPool, 'size' | 'take'>

/**
 * Collects the bytes of a body, or of a range of it, into chunks. The producer asks `skip` before it makes a piece,
 * so that what lies before the range costs nothing.
 */
export class BodyWriter {
  readonly #pool: ChunkSource
  readonly #end: number
  /** Where the range begins in the body. */
  readonly start: number
  #position = 0
  /** Bytes of the range that are in chunks. */
  #produced = 0
  #buffer: Buffer | undefined
  #used = 0
  readonly #ready: Buffer[] = []

  constructor(pool: ChunkSource, start: number, end: number) {
    this.#pool = pool
    this.start = start
    this.#end = end
  }

  /** Whether all bytes of the range are there. */
  get done(): boolean {
    return this.#position >= this.#end
  }

  /** Whether there is a chunk that is complete. */
  get ready(): boolean {
    return this.#ready.length > 0
  }

  /** Passes over `length` bytes when all of them lie before the range, and tells whether it did. */
  skip(length: number): boolean {
    if (this.#position + length > this.start) return false
    this.#position += length
    return true
  }

  /** Bytes of the next `length` that lie before the range. */
  before(length: number): number {
    return Math.min(length, Math.max(0, this.start - this.#position))
  }

  /** Adds the next bytes of the body, `bytes[start, end)`; those outside the range are left out. They are copied. */
  write(bytes: Buffer, start = 0, end = bytes.length): void {
    const length = end - start
    const to = start + Math.min(length, this.#end - this.#position)
    let from = start + this.before(length)
    this.#position += length
    while (from < to) {
      const buffer = this.#room()
      const copied = bytes.copy(buffer, this.#used, from, to)
      this.#advance(copied)
      from += copied
    }
  }

  /** Passes over bytes that lie before the range without having them. */
  pass(length: number): void {
    this.#position += length
  }

  /**
   * Makes room for the next bytes of the body, which whoever reads them puts there before the chunk is taken.
   *
   * @param length how many there are at most, none of them before the range
   * @returns how many have room in this chunk: none at the end of the range, else at least one
   */
  claim(length: number): { readonly buffer: Buffer; readonly at: number; readonly length: number } {
    const buffer = this.#room()
    const at = this.#used
    const claimed = Math.min(length, buffer.length - at, this.#end - this.#position)
    this.#position += claimed
    this.#advance(claimed)
    return { buffer, at, length: claimed }
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

  #room(): Buffer {
    if (this.#buffer === undefined) {
      const left = this.#end - this.start - this.#produced
      this.#buffer = left <= SMALL_REST ? Buffer.allocUnsafeSlow(Math.max(1, left)) : this.#pool.take()
      this.#used = 0
    }
    return this.#buffer
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
