import { type HuffmanTable, NEED_BITS } from './huffman-table.ts'

const NOTHING: Uint8Array = new Uint8Array(0)

/**
 * Bits of a stream that comes in chunks, lowest bit of a byte first. Bytes are taken one at a time and only when they are
 * needed, so that between steps fewer than 8 bits wait here.
 */
export class BitInput {
  chunk = NOTHING
  /** Next byte of the chunk. */
  at = 0
  /** Bits taken from the chunk but not yet used, lowest first; all above `count` are 0. */
  bits = 0
  count = 0
  /** Bytes of the chunks before. */
  before = 0

  reset(): void {
    this.chunk = NOTHING
    this.at = 0
    this.bits = 0
    this.count = 0
    this.before = 0
  }

  /** Goes on with the next chunk; the one before must have been taken as far as it belongs to the stream. */
  feed(chunk: Uint8Array): void {
    this.before += this.at
    this.chunk = chunk
    this.at = 0
  }

  /** Lets go of the chunk. */
  release(): void {
    this.feed(NOTHING)
  }

  /** Bits that have been used since the beginning. */
  get position(): number {
    return (this.before + this.at) * 8 - this.count
  }

  /** Has at least `count` (at most 24) bits ready, or says that the chunk does not hold them. */
  need(count: number): boolean {
    while (this.count < count) {
      if (this.at === this.chunk.length) return false
      this.bits |= this.chunk[this.at++]! << this.count
      this.count += 8
    }
    return true
  }

  /** Uses `count` bits that are ready. */
  take(count: number): number {
    const value = this.bits & ((1 << count) - 1)
    this.bits >>>= count
    this.count -= count
    return value
  }

  /** Drops what is left of the byte begun. */
  align(): void {
    this.bits = 0
    this.count = 0
  }

  /** Decodes a symbol without using its bits. Answers as {@link HuffmanTable.decode}. */
  peek(table: HuffmanTable): number {
    let entry = table.decode(this.bits, this.count)
    while (entry === NEED_BITS && this.need(this.count + 1)) entry = table.decode(this.bits, this.count)
    return entry
  }

  /** Moves to a bit of the chunk, counted from its beginning; at most 8 bits behind the last byte looked at. */
  moveTo(bit: number): void {
    this.at = (bit + 7) >>> 3
    this.count = this.at * 8 - bit
    this.bits = this.count === 0 ? 0 : this.chunk[this.at - 1]! >>> (8 - this.count)
  }
}
