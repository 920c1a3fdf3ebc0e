import { NarFormatError } from '../errors.ts'
import type { NarHandler } from './handler.ts'
import {
  type Framing,
  framing,
  MAGIC,
  MAX_DEPTH,
  MAX_ENTRY_NAME,
  MAX_SYMLINK_TARGET,
  paddedFramings,
  paddingOf,
  tokenAt,
} from './tokens.ts'

const START = [framing(0, MAGIC, '(', 'type')]
const REGULAR = framing(0, 'regular', 'contents')
const EXECUTABLE = framing(0, 'regular', 'executable', '', 'contents')
const SYMLINK = framing(0, 'symlink', 'target')
const DIRECTORY = framing(0, 'directory')
const NODE_TYPES = [REGULAR, EXECUTABLE, SYMLINK, DIRECTORY]
const ENTRY = framing(0, 'entry', '(', 'name')
const INNER_DIRECTORY = [ENTRY, framing(0, ')', ')')]
const ROOT_DIRECTORY = [ENTRY, framing(0, ')')]
const NODE = paddedFramings('node', '(', 'type').map((one) => [one])
const INNER_CLOSE = paddedFramings(')', ')').map((one) => [one])
const ROOT_CLOSE = paddedFramings(')').map((one) => [one])

/** What the reader expects next. Everything but `contents` is taken whole, from `carry` where chunks cut it. */
type State =
  | 'start'
  | 'type'
  | 'size'
  | 'contents'
  | 'close'
  | 'directory'
  | 'name'
  | 'node'
  | 'target'
  | 'done'

/** The longest thing that is taken whole: a symlink target behind its length. */
const CARRY_SIZE = 8 + MAX_SYMLINK_TARGET

const SLASH = 0x2f
const DOT = 0x2e
const TWO_POW_32 = 2 ** 32

export interface NarReaderOptions {
  /** Longest NAR in bytes that is accepted; a file that would exceed it is refused when its size is declared. */
  readonly maxSize?: number
}

/**
 * Reads a NAR from chunks of any size and tells a handler what is in it, without waiting, recursion or copies of file
 * contents. Its memory is bounded whatever the input: one carried token, and one name for each open directory.
 *
 * It takes the strict union of what the versions of Nix take, so what it accepts has exactly one encoding and every
 * client can unpack it: ascending unique names of 1 to 255 bytes without `/` and NUL, not `.` or `..`; targets of 1 to
 * 4095 bytes without NUL; nodes at most 63 below the root; `contents` present and after `executable`; padding zero.
 */
export class NarReader {
  readonly #handler: NarHandler
  readonly #maxSize: number
  #state: State = 'start'
  /** Position in the NAR of what is expected next. */
  #start = 0
  /** Content bytes still to come in state `contents`. */
  #remaining = 0
  /** Padding of the string that was read last. */
  #padding = 0
  /** The newest name in each open directory, the root's first; `undefined` before its first entry. */
  readonly #names: (Buffer | undefined)[] = []
  readonly #carry = Buffer.allocUnsafeSlow(CARRY_SIZE)
  #carried = 0
  /** Bytes that the expected thing is known to have, when it was cut by the end of a chunk. */
  #need = 0
  #inFile = false
  #executable = false
  /** Set while bytes are worked on, so that it stays set when something throws. */
  #broken = false

  constructor(handler: NarHandler, options: NarReaderOptions = {}) {
    this.#handler = handler
    this.#maxSize = options.maxSize ?? Number.MAX_SAFE_INTEGER
  }

  /** Whether the NAR has ended. */
  get done(): boolean {
    return this.#state === 'done'
  }

  /** Number of NAR bytes consumed. */
  get position(): number {
    return this.#start + this.#carried
  }

  /**
   * Reads on. What is wrong is reported at the first wrong byte, wherever the chunks are cut.
   *
   * @param chunk the next bytes; not kept, and not needed after the call
   * @param enough asked between nodes, and the rest of the chunk is left when it says so
   * @returns number of bytes consumed: all of them, or less where the NAR ended within the chunk or it was enough
   * @throws NarFormatError when the bytes are no NAR in canonical form; also what the handler throws. The reader cannot
   *   be used after either.
   */
  push(chunk: Uint8Array, enough?: () => boolean): number {
    if (this.#broken) throw new NarFormatError(this.position, 'reading has failed before')
    this.#broken = true
    const end = chunk.length
    let at = 0
    while (this.#state !== 'done') {
      if (this.#state === 'contents') {
        if (at === end) break
        at += this.#contents(chunk, at, end)
      } else if (this.#carried === 0) {
        const used = this.#step(chunk, at, end)
        if (used === 0) {
          this.#carry.set(at === 0 ? chunk : chunk.subarray(at))
          this.#carried = end - at
          at = end
          break
        }
        at += used
        this.#advance(used)
        if (this.#state === 'directory' && enough?.() === true) break
      } else {
        if (at === end) break
        const stop = Math.min(end, at + this.#need - this.#carried)
        this.#carry.set(chunk.subarray(at, stop), this.#carried)
        this.#carried += stop - at
        at = stop
        const used = this.#step(this.#carry, 0, this.#carried)
        if (used !== 0) {
          this.#carried = 0
          this.#advance(used)
        }
      }
    }
    this.#broken = false
    return at
  }

  /**
   * Says that no more bytes come.
   *
   * @throws NarFormatError when the NAR has not ended
   */
  finish(): void {
    if (!this.done) throw new NarFormatError(this.position, 'it ends too early')
  }

  #advance(used: number): void {
    this.#start += used
    if (this.#start > this.#maxSize) throw this.#tooLarge()
  }

  #contents(chunk: Uint8Array, at: number, end: number): number {
    const used = Math.min(this.#remaining, end - at)
    this.#start += used
    this.#remaining -= used
    if (this.#remaining === 0) this.#state = 'close'
    this.#handler.fileData(chunk.subarray(at, at + used))
    return used
  }

  /** Takes what is expected next whole and returns its length, or 0 and sets `need` when there is too little input. */
  #step(input: Uint8Array, at: number, end: number): number {
    switch (this.#state) {
      case 'start':
        return this.#expect(START, input, at, end, 'type')
      case 'node':
        return this.#expect(NODE[this.#padding]!, input, at, end, 'type')
      case 'type':
        return this.#type(input, at, end)
      case 'size':
        return this.#size(input, at, end)
      case 'close':
        return this.#close(input, at, end)
      case 'directory':
        return this.#directory(input, at, end)
      case 'name':
        return this.#name(input, at, end)
      default:
        return this.#target(input, at, end)
    }
  }

  #expect(expected: readonly Framing[], input: Uint8Array, at: number, end: number, next: State): number {
    const found = this.#match(expected, input, at, end)
    if (found === undefined) return 0
    this.#state = next
    return found.bytes.length
  }

  #type(input: Uint8Array, at: number, end: number): number {
    const found = this.#match(NODE_TYPES, input, at, end)
    if (found === undefined) return 0
    if (found === DIRECTORY) {
      this.#handler.directoryStart()
      this.#names.push(undefined)
      this.#state = 'directory'
    } else if (found === SYMLINK) {
      this.#state = 'target'
    } else {
      this.#executable = found === EXECUTABLE
      this.#state = 'size'
    }
    return found.bytes.length
  }

  #size(input: Uint8Array, at: number, end: number): number {
    if (end - at < 8) return this.#lack(8)
    const size = uint32(input, at + 4) * TWO_POW_32 + uint32(input, at)
    const offset = this.#start + 8
    if (size > this.#maxSize - offset) throw this.#tooLarge()
    this.#remaining = size
    this.#padding = paddingOf(size)
    this.#inFile = true
    this.#state = size === 0 ? 'close' : 'contents'
    this.#handler.fileStart(this.#executable, size, offset)
    return 8
  }

  #close(input: Uint8Array, at: number, end: number): number {
    const expected = this.#names.length === 0 ? ROOT_CLOSE : INNER_CLOSE
    const found = this.#match(expected[this.#padding]!, input, at, end)
    if (found === undefined) return 0
    if (this.#inFile) {
      this.#inFile = false
      this.#handler.fileEnd()
    }
    this.#state = this.#names.length === 0 ? 'done' : 'directory'
    return found.bytes.length
  }

  #directory(input: Uint8Array, at: number, end: number): number {
    const found = this.#match(this.#names.length === 1 ? ROOT_DIRECTORY : INNER_DIRECTORY, input, at, end)
    if (found === undefined) return 0
    if (found === ENTRY) {
      if (this.#names.length > MAX_DEPTH) {
        throw new NarFormatError(
          this.#start,
          `the entry would be more than ${MAX_DEPTH} levels below the root`,
        )
      }
      this.#state = 'name'
    } else {
      this.#names.pop()
      this.#handler.directoryEnd()
      if (this.#names.length === 0) this.#state = 'done'
    }
    return found.bytes.length
  }

  #name(input: Uint8Array, at: number, end: number): number {
    const name = this.#string(input, at, end, MAX_ENTRY_NAME, 'name of a directory entry')
    if (name === undefined) return 0
    if (name.includes(SLASH)) throw new NarFormatError(this.#start, 'a name of a directory entry holds "/"')
    if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))) {
      throw new NarFormatError(this.#start, 'a name of a directory entry is "." or ".."')
    }
    const last = this.#names.length - 1
    const previous = this.#names[last]
    if (previous !== undefined && Buffer.compare(previous, name) >= 0) {
      throw new NarFormatError(
        this.#start,
        'names of a directory are not in ascending byte order, or one is there twice',
      )
    }
    this.#names[last] = name
    this.#padding = paddingOf(name.length)
    this.#state = 'node'
    this.#handler.entry(name)
    return 8 + name.length
  }

  #target(input: Uint8Array, at: number, end: number): number {
    const target = this.#string(input, at, end, MAX_SYMLINK_TARGET, 'symlink target')
    if (target === undefined) return 0
    this.#padding = paddingOf(target.length)
    this.#state = 'close'
    this.#handler.symlink(target)
    return 8 + target.length
  }

  /** A copy of the string at hand without its padding; `undefined` when there is too little input. */
  #string(input: Uint8Array, at: number, end: number, max: number, what: string): Buffer | undefined {
    if (end - at < 8) {
      this.#need = 8
      return undefined
    }
    const size = uint32(input, at)
    if (size === 0 || size > max || uint32(input, at + 4) !== 0) {
      throw new NarFormatError(this.#start, `a ${what} must have 1 to ${max} bytes`)
    }
    if (end - at < 8 + size) {
      this.#need = 8 + size
      return undefined
    }
    const copy = Buffer.allocUnsafe(size)
    for (let index = 0; index < size; index++) {
      const byte = input[at + 8 + index]!
      if (byte === 0) throw new NarFormatError(this.#start, `a ${what} holds a NUL byte`)
      copy[index] = byte
    }
    return copy
  }

  /**
   * The one of the alternatives that the input starts with; `undefined` when it may still become one.
   *
   * @throws NarFormatError when it can be none
   */
  #match(alternatives: readonly Framing[], input: Uint8Array, at: number, end: number): Framing | undefined {
    const available = end - at
    let need = 0
    for (const framing of alternatives) {
      const { bytes } = framing
      const common = commonPrefix(bytes, input, at, available)
      if (common === bytes.length) return framing
      if (common === available && (need === 0 || bytes.length < need)) need = bytes.length
    }
    if (need === 0) throw this.#mismatch(alternatives, input, at, available)
    this.#need = need
    return undefined
  }

  #mismatch(
    alternatives: readonly Framing[],
    input: Uint8Array,
    at: number,
    available: number,
  ): NarFormatError {
    const prefixes = alternatives.map(({ bytes }) => commonPrefix(bytes, input, at, available))
    const furthest = Math.max(...prefixes)
    const tokens = alternatives
      .filter((_, index) => prefixes[index] === furthest)
      .map((framing) => tokenAt(framing, furthest))
    const rule = tokens.includes(undefined)
      ? 'padding is not zero'
      : `expected ${[...new Set(tokens)].map((token) => JSON.stringify(token)).join(' or ')}`
    return new NarFormatError(this.#start + furthest, rule)
  }

  #lack(need: number): 0 {
    this.#need = need
    return 0
  }

  #tooLarge(): NarFormatError {
    return new NarFormatError(
      this.#start,
      `it is longer than the ${this.#maxSize} bytes that are allowed here`,
    )
  }
}

function commonPrefix(expected: Uint8Array, input: Uint8Array, at: number, available: number): number {
  const limit = Math.min(expected.length, available)
  let index = 0
  while (index < limit && expected[index] === input[at + index]) index++
  return index
}

function uint32(input: Uint8Array, at: number): number {
  return (input[at]! | (input[at + 1]! << 8) | (input[at + 2]! << 16) | (input[at + 3]! << 24)) >>> 0
}
