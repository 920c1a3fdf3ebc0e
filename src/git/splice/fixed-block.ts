/** Writing deflate blocks with the fixed Huffman codes (RFC 1951, 3.2.6), for short texts that repeat what came shortly before. */

/** The farthest that a match may reach back. */
export const MAX_DISTANCE = 32 * 1024
const MIN_MATCH = 3
const MAX_MATCH = 258
const END_OF_BLOCK = 256
/** Header of a block that is not the last one and has the fixed codes: BFINAL 0, type 1. */
const BLOCK_HEADER = 0b010
const BLOCK_HEADER_BITS = 3
/** Lengths of an empty stored block, which ends at a byte boundary. */
const EMPTY_STORED = [0x00, 0x00, 0xff, 0xff]
/** A code takes at most 9 bits, so this many bytes for each byte of content are always enough. */
const WORST_BITS = 9
const AROUND = 16

/** Codes of literals and lengths, bits in the order in which they are written, and their lengths. */
const CODES = new Uint16Array(288)
const CODE_BITS = new Uint8Array(288)
for (let symbol = 0; symbol < 288; symbol++) {
  const [code, bits] =
    symbol < 144
      ? [0x30 + symbol, 8]
      : symbol < 256
        ? [0x190 + symbol - 144, 9]
        : symbol < 280
          ? [symbol - 256, 7]
          : [0xc0 + symbol - 280, 8]
  CODES[symbol] = reversed(code, bits)
  CODE_BITS[symbol] = bits
}

function reversed(code: number, bits: number): number {
  let result = 0
  for (let bit = 0; bit < bits; bit++) result |= ((code >> bit) & 1) << (bits - 1 - bit)
  return result
}

/** Writes one block. */
export class FixedBlock {
  readonly #bytes: Buffer
  #length = 0
  #pending = 0
  #pendingBits = 0

  /** @param size of the content in bytes */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(Math.ceil((size * WORST_BITS) / 8) + AROUND)
    this.#bits(BLOCK_HEADER, BLOCK_HEADER_BITS)
  }

  /** Bytes as they are; long runs of one byte as a match of distance 1. */
  literals(bytes: Uint8Array, start = 0, end = bytes.length): void {
    for (let at = start; at < end; ) {
      const byte = bytes[at]!
      let run = 1
      while (at + run < end && bytes[at + run] === byte) run++
      this.#bits(CODES[byte]!, CODE_BITS[byte]!)
      at++
      if (run <= MIN_MATCH) continue
      this.match(run - 1, 1)
      at += run - 1
    }
  }

  /** `length` bytes that are also `distance` bytes before; at least 3. */
  match(length: number, distance: number): void {
    for (let left = length; left > 0; ) {
      // What is left must be long enough for a match of its own.
      const part = left <= MAX_MATCH ? left : Math.min(MAX_MATCH, left - MIN_MATCH)
      this.#matchLength(part)
      this.#distance(distance)
      left -= part
    }
  }

  /** Ends the block and goes on to a byte boundary; gives all bytes. */
  finish(): Buffer {
    this.#bits(CODES[END_OF_BLOCK]!, CODE_BITS[END_OF_BLOCK]!)
    this.#bits(0, BLOCK_HEADER_BITS)
    if (this.#pendingBits > 0) this.#bits(0, 8 - this.#pendingBits)
    for (const byte of EMPTY_STORED) this.#bytes[this.#length++] = byte
    return this.#bytes.subarray(0, this.#length)
  }

  #matchLength(length: number): void {
    if (length === MAX_MATCH) {
      this.#bits(CODES[285]!, CODE_BITS[285]!)
      return
    }
    const value = length - MIN_MATCH
    const extra = Math.max(0, 29 - Math.clz32(value))
    const symbol = 257 + (extra << 2) + (value >> extra)
    this.#bits(CODES[symbol]!, CODE_BITS[symbol]!)
    this.#bits(value & ((1 << extra) - 1), extra)
  }

  #distance(distance: number): void {
    const value = distance - 1
    const extra = Math.max(0, 30 - Math.clz32(value))
    const symbol = (extra << 1) + (value >> extra)
    this.#bits(reversed(symbol, 5), 5)
    this.#bits(value & ((1 << extra) - 1), extra)
  }

  /** Up to 16 bits, the lowest first. */
  #bits(value: number, count: number): void {
    this.#pending |= value << this.#pendingBits
    this.#pendingBits += count
    while (this.#pendingBits >= 8) {
      this.#bytes[this.#length++] = this.#pending & 0xff
      this.#pending >>>= 8
      this.#pendingBits -= 8
    }
  }
}
