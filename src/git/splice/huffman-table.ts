/** Longest code that deflate allows, in bits. */
export const MAX_CODE_LENGTH = 15

/** Answer of {@link HuffmanTable.decode}: more bits are needed to tell. */
export const NEED_BITS = -1
/** Answer of {@link HuffmanTable.decode}: no code begins with these bits. */
export const INVALID_CODE = -2

/**
 * One canonical Huffman code of a deflate block (RFC 1951, 3.2.2), rebuilt in place for every block so that decoding a
 * stream allocates nothing.
 *
 * Short codes are found in `root`, indexed by the next `rootBits` bits of the stream. Longer ones are rare by
 * construction and are walked bit by bit, which needs no second level of tables.
 */
export class HuffmanTable {
  readonly rootBits: number
  /** Length of the longest code in bits, 0 when there is none. */
  longest = 0
  /** `symbol << 4 | code length`; 0 where the code is longer than `rootBits` or does not exist. */
  readonly root: Uint16Array
  readonly #count = new Uint16Array(MAX_CODE_LENGTH + 1)
  readonly #offset = new Uint16Array(MAX_CODE_LENGTH + 2)
  readonly #sorted: Uint16Array

  /**
   * @param rootBits width of the root table in bits, 1 to 15
   * @param symbols largest number of symbols that `build` will be given
   */
  constructor(rootBits: number, symbols: number) {
    this.rootBits = rootBits
    this.root = new Uint16Array(1 << rootBits)
    this.#sorted = new Uint16Array(symbols)
  }

  /**
   * Builds the code from `lengths[from]` to `lengths[to - 1]` (0 = symbol not used).
   *
   * @returns how much of the code space is left: 0 for a complete code, negative for an over-subscribed one (the table
   *   must then not be used), positive for an incomplete one, in units of 2^-15
   */
  build(lengths: Uint8Array, from: number, to: number): number {
    const count = this.#count.fill(0)
    for (let i = from; i < to; i++) count[lengths[i]!]!++
    count[0] = 0

    const offset = this.#offset
    offset[1] = 0
    let left = 1 << MAX_CODE_LENGTH
    let longest = 0
    for (let length = 1; length <= MAX_CODE_LENGTH; length++) {
      const n = count[length]!
      left -= n << (MAX_CODE_LENGTH - length)
      offset[length + 1] = offset[length]! + n
      if (n > 0) longest = length
    }
    this.longest = longest
    if (left < 0) return left

    const sorted = this.#sorted
    for (let i = from; i < to; i++) {
      const length = lengths[i]!
      if (length > 0) sorted[offset[length]!++] = i - from
    }
    this.#fillRoot()
    return left
  }

  /**
   * Decodes one symbol from the low `available` bits of `bits`; the bits above them must be 0.
   *
   * @returns `symbol << 4 | code length`, {@link NEED_BITS} or {@link INVALID_CODE}
   */
  decode(bits: number, available: number): number {
    const entry = this.root[bits & ((1 << this.rootBits) - 1)]!
    if (entry !== 0) return (entry & 15) <= available ? entry : NEED_BITS
    return this.#walk(bits, available)
  }

  #walk(bits: number, available: number): number {
    let code = 0
    let first = 0
    let index = 0
    for (let length = 1; length <= this.longest; length++) {
      if (length > available) return NEED_BITS
      code |= (bits >>> (length - 1)) & 1
      const n = this.#count[length]!
      if (code - first < n) return (this.#sorted[index + code - first]! << 4) | length
      index += n
      first = (first + n) << 1
      code <<= 1
    }
    return INVALID_CODE
  }

  /**
   * Codes are assigned in order of length, so the table for one bit more is the table so far, twice. Stream bits come
   * lowest first, codes highest first: `code` counts upwards with its bits reversed.
   */
  #fillRoot(): void {
    const { root, rootBits } = this
    root.fill(0)
    let code = 0
    let index = 0
    for (let length = 1; length <= rootBits; length++) {
      const size = 1 << length
      if (length > 1) root.copyWithin(size >> 1, 0, size >> 1)
      for (let n = this.#count[length]!; n > 0; n--) {
        root[code] = (this.#sorted[index++]! << 4) | length
        let bit = size >> 1
        while ((code & bit) !== 0) bit >>= 1
        code = bit === 0 ? 0 : (code & (bit - 1)) | bit
      }
    }
  }
}
