import { HuffmanTable, MAX_CODE_LENGTH } from './huffman-table.ts'

/** Symbol that ends a block. */
export const END_OF_BLOCK = 256
/** First symbol of a match length; those below are literals and the end of the block. */
export const FIRST_LENGTH = 257
/** Farthest that a match can reach back, in bytes. */
export const MAX_DISTANCE = 32768

/** Number of literal/length and distance symbols that mean something (RFC 1951, 3.2.5). */
export const LENGTH_SYMBOLS = 286
export const DISTANCE_SYMBOLS = 30

/** Shortest match and number of extra bits, by length symbol - 257. */
export const LENGTH_BASE = new Uint16Array(LENGTH_SYMBOLS - FIRST_LENGTH)
export const LENGTH_EXTRA = new Uint8Array(LENGTH_SYMBOLS - FIRST_LENGTH)
/** Nearest distance and number of extra bits, by distance symbol. */
export const DISTANCE_BASE = new Uint16Array(DISTANCE_SYMBOLS)
export const DISTANCE_EXTRA = new Uint8Array(DISTANCE_SYMBOLS)

for (let i = 0, base = 3; i < LENGTH_BASE.length - 1; i++) {
  LENGTH_BASE[i] = base
  LENGTH_EXTRA[i] = i < 8 ? 0 : (i >> 2) - 1
  base += 1 << LENGTH_EXTRA[i]!
}
LENGTH_BASE[LENGTH_BASE.length - 1] = 258
for (let i = 0, base = 1; i < DISTANCE_SYMBOLS; i++) {
  DISTANCE_BASE[i] = base
  DISTANCE_EXTRA[i] = i < 4 ? 0 : (i >> 1) - 1
  base += 1 << DISTANCE_EXTRA[i]!
}

/** Width of the root tables and of the step tables in bits. */
const ROOT_BITS = 11
const ROOT_SIZE = 1 << ROOT_BITS
const ROOT_MASK = ROOT_SIZE - 1
const CODE_MASK = (1 << MAX_CODE_LENGTH) - 1

/**
 * Layout of a step: bits 0-4 stream bits it takes, 5-8 literals in it, bit 11 set when a distance follows (it is then the
 * offset of the distance steps), 12-20 length of the match begun, 21-25 distance symbol + 1 of the match ended.
 */
const STEP_LITERAL = 1 << 5
const STEP_MATCH = ROOT_SIZE
const STEP_LENGTH_SHIFT = 12
const STEP_DISTANCE_SHIFT = 21

/** `DISTANCE_BASE` and the mask of the extra bits, by distance symbol + 1; a step without a distance has distance 0. */
const STEP_DISTANCE_BASE = new Int32Array(DISTANCE_SYMBOLS + 1)
const STEP_DISTANCE_MASK = new Int32Array(DISTANCE_SYMBOLS + 1)
for (let i = 0; i < DISTANCE_SYMBOLS; i++) {
  STEP_DISTANCE_BASE[i + 1] = DISTANCE_BASE[i]!
  STEP_DISTANCE_MASK[i + 1] = (1 << DISTANCE_EXTRA[i]!) - 1
}

/** Most input that {@link BlockCode.skim} takes at once: 1,032 times as much content still fits 31 bits. */
export const MAX_SKIM = 1 << 20

/** Input that {@link BlockCode.skim} wants to see ahead, in bytes: what it looks at is at most 72 bits away. */
export const LOOKAHEAD = 16

/** Input ahead, in bytes, from which on working out the steps (some 10 µs) pays. */
const WORTH_STEPS = 2048

/**
 * The two Huffman codes of one deflate block and the fast loop over them.
 *
 * As nothing is put out, a symbol is only worth the bits and bytes it stands for. So what the next 11 bits hold, several
 * literals and the match length after them perhaps, is worked out once a block for all 2,048 values, and the loop takes
 * them in one step. Distances are steps too, in a second table that the step before points to, so that the loop has no
 * branch that the processor could guess wrongly.
 */
export class BlockCode {
  readonly literals = new HuffmanTable(ROOT_BITS, 288)
  readonly distances = new HuffmanTable(ROOT_BITS, 32)
  readonly #steps = new Int32Array(2 * ROOT_SIZE)
  #stepsValid = false
  #at = 0
  #seen = 0

  /** Where the last {@link skim} stopped, in bits from the beginning of its input. */
  get position(): number {
    return this.#at
  }

  /** To be called when the codes have been built anew. */
  changed(): void {
    this.#stepsValid = false
  }

  /**
   * Passes over symbols as long as each is valid and away from the end of the input, and stops *before* the first that is
   * not plain: the end of the block, an invalid code, a distance beyond the content so far, the last bytes of the input.
   * The caller decodes that one with care and may come back. `position` says how far it went.
   *
   * @param view the input, at most {@link MAX_SKIM} bytes, so that everything fits 32-bit integers
   * @param position first bit to look at
   * @param before bytes of content that precede (more than 32,768 make no difference)
   * @returns bytes of content passed
   */
  skim(view: DataView, position: number, before: number): number {
    const start = Math.min(before, MAX_DISTANCE)
    const limit = (view.byteLength - LOOKAHEAD) * 8
    this.#at = position
    this.#seen = start
    if (!this.#stepsValid && view.byteLength - (position >>> 3) >= WORTH_STEPS) this.#workOutSteps()
    do {
      if (this.#stepsValid) this.#leap(view, limit)
    } while (this.#at < limit && this.#one(view))
    return this.#seen - start
  }

  #workOutSteps(): void {
    const root = this.literals.root
    const steps = this.#steps
    for (let bits = 0; bits < ROOT_SIZE; bits++) {
      let used = 0
      let step = 0
      for (;;) {
        const entry = root[bits >>> used]!
        const after = used + (entry & 15)
        if (entry === 0 || after > ROOT_BITS) break
        const symbol = entry >>> 4
        if (symbol < END_OF_BLOCK) {
          step += STEP_LITERAL
          used = after
          continue
        }
        if (symbol === END_OF_BLOCK || symbol >= LENGTH_SYMBOLS) break
        const extra = LENGTH_EXTRA[symbol - FIRST_LENGTH]!
        if (after + extra > ROOT_BITS) break
        const length = LENGTH_BASE[symbol - FIRST_LENGTH]! + ((bits >>> after) & ((1 << extra) - 1))
        step |= STEP_MATCH | (length << STEP_LENGTH_SHIFT)
        used = after + extra
        break
      }
      steps[bits] = step | used
    }
    const far = this.distances.root
    for (let bits = 0; bits < ROOT_SIZE; bits++) {
      const entry = far[bits]!
      const symbol = entry >>> 4
      const valid = entry !== 0 && symbol < DISTANCE_SYMBOLS
      steps[ROOT_SIZE + bits] = valid
        ? ((symbol + 1) << STEP_DISTANCE_SHIFT) | ((entry & 15) + DISTANCE_EXTRA[symbol]!)
        : 0
    }
    this.#stepsValid = true
  }

  /** Goes on by whole steps, and stops before the first symbol that is not in one. */
  #leap(view: DataView, limit: number): void {
    const steps = this.#steps
    let at = this.#at
    let seen = this.#seen
    let table = 0
    let length = 0
    // where the match begun last, if any, has its length symbol and the literals before it
    let safeAt = at
    let safeSeen = seen
    while (at < limit) {
      if (table === 0) {
        safeAt = at
        safeSeen = seen
      }
      const step = steps[table | ((view.getInt32(at >>> 3, true) >>> (at & 7)) & ROOT_MASK)]!
      if (step === 0) break
      at += step & 31
      const symbol = step >>> STEP_DISTANCE_SHIFT
      const mask = STEP_DISTANCE_MASK[symbol]!
      const extraAt = at - (32 - Math.clz32(mask))
      const distance =
        STEP_DISTANCE_BASE[symbol]! + ((view.getInt32(extraAt >>> 3, true) >>> (extraAt & 7)) & mask)
      if (distance > seen) break
      seen += length + ((step >>> 5) & 15)
      length = (step >>> STEP_LENGTH_SHIFT) & 511
      table = step & STEP_MATCH
    }
    this.#at = table === 0 && at >= limit ? at : safeAt
    this.#seen = table === 0 && at >= limit ? seen : safeSeen
  }

  /** Goes on by one literal or match; false when the next symbol is neither or not valid. */
  #one(view: DataView): boolean {
    let at = this.#at
    const bits = view.getInt32(at >>> 3, true) >>> (at & 7)
    const entry = this.literals.decode(bits & CODE_MASK, MAX_CODE_LENGTH)
    const symbol = entry >> 4
    if (symbol < END_OF_BLOCK) {
      if (symbol < 0) return false
      this.#at = at + (entry & 15)
      this.#seen++
      return true
    }
    if (symbol === END_OF_BLOCK || symbol >= LENGTH_SYMBOLS) return false
    at += entry & 15
    const lengthExtra = LENGTH_EXTRA[symbol - FIRST_LENGTH]!
    const length = LENGTH_BASE[symbol - FIRST_LENGTH]! + ((bits >>> (entry & 15)) & ((1 << lengthExtra) - 1))
    at += lengthExtra

    const farBits = view.getInt32(at >>> 3, true) >>> (at & 7)
    const far = this.distances.decode(farBits & CODE_MASK, MAX_CODE_LENGTH)
    const farSymbol = far >> 4
    if (farSymbol < 0 || farSymbol >= DISTANCE_SYMBOLS) return false
    at += far & 15
    const extra = DISTANCE_EXTRA[farSymbol]!
    const distance =
      DISTANCE_BASE[farSymbol]! + ((view.getInt32(at >>> 3, true) >>> (at & 7)) & ((1 << extra) - 1))
    if (distance > this.#seen) return false
    this.#at = at + extra
    this.#seen += length
    return true
  }
}

let fixedCode: BlockCode | undefined

/** The code of blocks of type 1 (RFC 1951, 3.2.6), made when first needed. */
export function fixedBlockCode(): BlockCode {
  if (fixedCode === undefined) {
    const lengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280)
    fixedCode = new BlockCode()
    fixedCode.literals.build(lengths, 0, 288)
    fixedCode.distances.build(lengths.fill(5), 0, 32)
  }
  return fixedCode
}
