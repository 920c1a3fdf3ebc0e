import { BitInput } from './bit-input.ts'
import {
  BlockCode,
  DISTANCE_BASE,
  DISTANCE_EXTRA,
  DISTANCE_SYMBOLS,
  END_OF_BLOCK,
  FIRST_LENGTH,
  fixedBlockCode,
  LENGTH_BASE,
  LENGTH_EXTRA,
  LENGTH_SYMBOLS,
  LOOKAHEAD,
  MAX_SKIM,
} from './block-code.ts'
import { DeflateFormatError } from './errors.ts'
import { HuffmanTable, INVALID_CODE, NEED_BITS } from './huffman-table.ts'

/** What the scanner expects next. */
const HEADER = 0
const BLOCK = 1
const STORED_LENGTH = 2
const STORED_CHECK = 3
const STORED = 4
const CODE_COUNTS = 5
const CODE_LENGTHS = 6
const LENGTHS = 7
const SYMBOL = 8
const DISTANCE = 9
const DISTANCE_REST = 10
const TRAILER = 11
const DONE = 12

/** Length of the zlib header in bits. Positions are counted from behind it. */
const HEADER_BITS = 16

/** Order in which the lengths of the code length code come (RFC 1951, 3.2.7). */
const CODE_LENGTH_ORDER = Uint8Array.of(16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)

/**
 * Reads a zlib stream (RFC 1950 around RFC 1951) without producing its content, for what splicing needs to know: where the
 * last deflate block begins and ends, and how long the content is.
 *
 * It takes chunks of any size, holds no more than the Huffman tables of one block (some 20 KB) and accepts what zlib's
 * `inflate` accepts: over-subscribed and incomplete codes, unknown symbols, distances before the beginning and preset
 * dictionaries are errors. The Adler-32 at the end is passed over, as checking it would take the content.
 */
export class DeflateScanner {
  readonly #dynamic = new BlockCode()
  readonly #codeLengths = new HuffmanTable(7, 19)
  readonly #lengths = new Uint8Array(320)
  #code = this.#dynamic

  readonly #in = new BitInput()
  #state = HEADER
  #output = 0
  #last = false
  #finalBit = -1
  #endBit = -1

  /** Bytes left of a stored block, or the length of the match whose distance is being read. */
  #length = 0
  /** Symbol of the distance whose extra bits are being read. */
  #distance = 0
  #literalCount = 0
  #distanceCount = 0
  #codeLengthCount = 0
  /** Code lengths read so far, or bytes of the trailer. */
  #filled = 0

  /** Whether the whole stream, trailer included, has been read. */
  get done(): boolean {
    return this.#state === DONE
  }

  /** Bit (from behind the zlib header, lowest bit of a byte first) of the last block's BFINAL; -1 while unknown. */
  get finalBit(): number {
    return this.#finalBit
  }

  /** First bit behind the last block, counted as `finalBit`; -1 while unknown. */
  get endBit(): number {
    return this.#endBit
  }

  /** Bytes of content so far. */
  get outputLength(): number {
    return this.#output
  }

  /** Bytes of the stream so far; once `done`, its length. What follows it in the last chunk is not counted. */
  get consumed(): number {
    return this.#in.before + this.#in.at
  }

  /** Makes the scanner ready for another stream. */
  reset(): void {
    this.#state = HEADER
    this.#in.reset()
    this.#output = 0
    this.#last = false
    this.#finalBit = -1
    this.#endBit = -1
  }

  /**
   * Reads the next bytes of the stream. What lies behind its end is left alone.
   *
   * @throws DeflateFormatError when the stream is invalid; the scanner is of no use then until `reset()`
   */
  push(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length && this.#state !== DONE; from += MAX_SKIM) {
      this.#in.feed(chunk.subarray(from, from + MAX_SKIM))
      this.#run()
    }
    this.#in.release()
  }

  /** @throws DeflateFormatError when the stream is not complete */
  finish(): void {
    if (this.#state !== DONE)
      throw new DeflateFormatError(`the zlib stream ends early, after ${this.consumed} bytes`)
  }

  /** Takes one step after the other until the input is used up or the stream ends. */
  #run(): void {
    let more = true
    while (more) {
      switch (this.#state) {
        case HEADER:
          more = this.#readHeader()
          break
        case BLOCK:
          more = this.#readBlockHeader()
          break
        case STORED_LENGTH:
        case STORED_CHECK:
          more = this.#readStoredLength()
          break
        case STORED:
          more = this.#skipStored()
          break
        case CODE_COUNTS:
          more = this.#readCodeCounts()
          break
        case CODE_LENGTHS:
          more = this.#readCodeLengthCode()
          break
        case LENGTHS:
          more = this.#readLengths()
          break
        case SYMBOL:
          this.#skim()
          more = this.#readSymbol()
          break
        case DISTANCE:
          more = this.#readDistance()
          break
        case DISTANCE_REST:
          more = this.#readDistanceRest()
          break
        case TRAILER:
          more = this.#readTrailer()
          break
        default:
          more = false
      }
    }
  }

  /** Decodes a symbol, leaving its bits in place; `NEED_BITS` when the chunk does not hold it. */
  #peek(table: HuffmanTable, what: string): number {
    const entry = this.#in.peek(table)
    if (entry === INVALID_CODE) this.#fail(`invalid ${what} code`)
    return entry
  }

  #fail(problem: string): never {
    throw new DeflateFormatError(`invalid zlib stream: ${problem} before bit ${this.#in.position}`)
  }

  #readHeader(): boolean {
    if (!this.#in.need(16)) return false
    const method = this.#in.take(8)
    const flags = this.#in.take(8)
    if (((method << 8) | flags) % 31 !== 0) this.#fail('wrong header check')
    if ((method & 15) !== 8) this.#fail('the compression method is not deflate')
    if (method >> 4 > 7) this.#fail('the window is larger than 32 KiB')
    if ((flags & 0x20) !== 0) this.#fail('a preset dictionary is needed')
    this.#state = BLOCK
    return true
  }

  #readBlockHeader(): boolean {
    if (!this.#in.need(3)) return false
    const position = this.#in.position - HEADER_BITS
    this.#last = this.#in.take(1) === 1
    if (this.#last) this.#finalBit = position
    switch (this.#in.take(2)) {
      case 0:
        // the bits left are those of the byte that the header is in
        this.#in.align()
        this.#state = STORED_LENGTH
        return true
      case 1:
        this.#code = fixedBlockCode()
        this.#state = SYMBOL
        return true
      case 2:
        this.#code = this.#dynamic
        this.#state = CODE_COUNTS
        return true
      default:
        return this.#fail('invalid block type')
    }
  }

  #readStoredLength(): boolean {
    if (!this.#in.need(16)) return false
    const value = this.#in.take(16)
    if (this.#state === STORED_LENGTH) {
      this.#length = value
      this.#state = STORED_CHECK
      return true
    }
    if ((value ^ 0xffff) !== this.#length) this.#fail('invalid length of a stored block')
    this.#state = STORED
    return true
  }

  #skipStored(): boolean {
    const count = Math.min(this.#length, this.#in.chunk.length - this.#in.at)
    this.#in.at += count
    this.#output += count
    this.#length -= count
    if (this.#length > 0) return false
    this.#endBlock()
    return true
  }

  #endBlock(): void {
    if (!this.#last) {
      this.#state = BLOCK
      return
    }
    this.#endBit = this.#in.position - HEADER_BITS
    this.#in.align()
    this.#filled = 0
    this.#state = TRAILER
  }

  #readTrailer(): boolean {
    if (!this.#in.need(8)) return false
    this.#in.take(8)
    if (++this.#filled === 4) this.#state = DONE
    return true
  }

  #readCodeCounts(): boolean {
    if (!this.#in.need(14)) return false
    this.#literalCount = this.#in.take(5) + 257
    this.#distanceCount = this.#in.take(5) + 1
    this.#codeLengthCount = this.#in.take(4) + 4
    if (this.#literalCount > LENGTH_SYMBOLS || this.#distanceCount > DISTANCE_SYMBOLS)
      this.#fail('too many symbols')
    this.#lengths.fill(0, 0, CODE_LENGTH_ORDER.length)
    this.#filled = 0
    this.#state = CODE_LENGTHS
    return true
  }

  #readCodeLengthCode(): boolean {
    while (this.#filled < this.#codeLengthCount) {
      if (!this.#in.need(3)) return false
      this.#lengths[CODE_LENGTH_ORDER[this.#filled++]!] = this.#in.take(3)
    }
    if (this.#codeLengths.build(this.#lengths, 0, CODE_LENGTH_ORDER.length) !== 0)
      this.#fail('invalid set of code lengths')
    this.#filled = 0
    this.#state = LENGTHS
    return true
  }

  #readLengths(): boolean {
    const lengths = this.#lengths
    const total = this.#literalCount + this.#distanceCount
    while (this.#filled < total) {
      const entry = this.#peek(this.#codeLengths, 'code length')
      if (entry === NEED_BITS) return false
      const symbol = entry >> 4
      const extra = symbol < 16 ? 0 : symbol === 16 ? 2 : symbol === 17 ? 3 : 7
      if (!this.#in.need((entry & 15) + extra)) return false
      this.#in.take(entry & 15)
      if (symbol < 16) {
        lengths[this.#filled++] = symbol
        continue
      }
      if (symbol === 16 && this.#filled === 0) this.#fail('no code length to repeat')
      const value = symbol === 16 ? lengths[this.#filled - 1]! : 0
      const end = this.#filled + this.#in.take(extra) + (symbol === 18 ? 11 : 3)
      if (end > total) this.#fail('too many code lengths')
      lengths.fill(value, this.#filled, end)
      this.#filled = end
    }
    this.#buildCodes(total)
    this.#state = SYMBOL
    return true
  }

  /** zlib allows an incomplete code only where it is a single code of one bit, and no distance code at all. */
  #buildCodes(total: number): void {
    const { literals, distances } = this.#dynamic
    if (this.#lengths[END_OF_BLOCK] === 0) this.#fail('no code for the end of the block')
    const literalsLeft = literals.build(this.#lengths, 0, this.#literalCount)
    if (literalsLeft < 0 || (literalsLeft > 0 && literals.longest > 1))
      this.#fail('invalid set of literal code lengths')
    const distancesLeft = distances.build(this.#lengths, this.#literalCount, total)
    if (distancesLeft < 0 || (distancesLeft > 0 && distances.longest > 1))
      this.#fail('invalid set of distance code lengths')
    this.#dynamic.changed()
  }

  /** Passes over all that can be passed over quickly. */
  #skim(): void {
    const { chunk, at, count } = this.#in
    const from = at * 8 - count
    if (chunk.length - at <= LOOKAHEAD || from < 0) return
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    this.#output += this.#code.skim(view, from, this.#output)
    this.#in.moveTo(this.#code.position)
  }

  #readSymbol(): boolean {
    const entry = this.#peek(this.#code.literals, 'literal or length')
    if (entry === NEED_BITS) return false
    const symbol = entry >> 4
    if (symbol < FIRST_LENGTH) {
      this.#in.take(entry & 15)
      if (symbol < END_OF_BLOCK) this.#output++
      else this.#endBlock()
      return true
    }
    if (symbol >= LENGTH_SYMBOLS) this.#fail('invalid length symbol')
    const extra = LENGTH_EXTRA[symbol - FIRST_LENGTH]!
    if (!this.#in.need((entry & 15) + extra)) return false
    this.#in.take(entry & 15)
    this.#length = LENGTH_BASE[symbol - FIRST_LENGTH]! + this.#in.take(extra)
    this.#state = DISTANCE
    return true
  }

  #readDistance(): boolean {
    const entry = this.#peek(this.#code.distances, 'distance')
    if (entry === NEED_BITS) return false
    this.#distance = entry >> 4
    if (this.#distance >= DISTANCE_SYMBOLS) this.#fail('invalid distance symbol')
    this.#in.take(entry & 15)
    this.#state = DISTANCE_REST
    return true
  }

  #readDistanceRest(): boolean {
    const extra = DISTANCE_EXTRA[this.#distance]!
    if (!this.#in.need(extra)) return false
    const distance = DISTANCE_BASE[this.#distance]! + this.#in.take(extra)
    if (distance > this.#output) this.#fail('a distance reaches before the beginning')
    this.#output += this.#length
    this.#state = SYMBOL
    return true
  }
}
