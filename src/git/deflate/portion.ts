/** Memory of a portion: for one whole chunk, or many small ones, also where they do not compress. */
export const PORTION_BYTES = 258 * 1024

/** What content of this length can become: chunks of small contents are mostly framing. */
function roomFor(length: number): number {
  return length + (length >>> 8) + 16
}

/**
 * Contents that are deflated together, each as a chunk of its own, in memory that all threads see: it is filled here, the
 * chunks come back in its place, and nothing is copied or allocated on the way.
 */
export class Portion {
  readonly memory = new SharedArrayBuffer(PORTION_BYTES)
  readonly bytes = new Uint8Array(this.memory)
  /** Lengths of the contents. */
  lengths: number[] = []
  /** Bytes of the contents together. */
  size = 0
  #room = PORTION_BYTES

  /** Whether content of this length can be added. */
  fits(length: number): boolean {
    return roomFor(length) <= this.#room
  }

  /** Adds content that was written to `bytes` at `size`; gives its number. */
  add(length: number): number {
    this.#room -= roomFor(length)
    this.size += length
    return this.lengths.push(length) - 1
  }

  /** Empties it, to be used again. */
  clear(): void {
    this.lengths = []
    this.size = 0
    this.#room = PORTION_BYTES
  }
}
