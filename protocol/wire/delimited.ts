/** Messages on a stream: each has its length before it, as a varint. */
import { MessageError } from '../errors.ts'
import { encodeVarint } from './writer.ts'

/** A length above this takes more than 4 bytes, and no message is that long. */
const MAX_PREFIX_BYTES = 4

/** The bytes of a message as they go over a stream. */
export function delimit(message: Uint8Array): Uint8Array {
  return Buffer.concat([encodeVarint(message.length), message])
}

/** Puts messages together from the pieces in which a stream brings them. Keeps at most one message that is not whole. */
export class MessageSplitter {
  readonly #what: string
  readonly #maxLength: number
  readonly #onCopied: (piece: Uint8Array) => void
  #kept: Uint8Array[] = []
  #keptBytes = 0
  /** Bytes that must be there before the next look is of use. */
  #needed = 1
  /** The first piece that is kept as it came; `undefined` when messages that were given are views into it. */
  #first: Uint8Array | undefined

  /**
   * @param maxLength of one message, without its length
   * @param onCopied told of each piece that is of no use any more, as all of it was copied
   */
  constructor(what: string, maxLength: number, onCopied: (piece: Uint8Array) => void = () => {}) {
    this.#what = what
    this.#maxLength = maxLength
    this.#onCopied = onCopied
  }

  /** Whether the stream stands between two messages. */
  get between(): boolean {
    return this.#keptBytes === 0
  }

  /**
   * Takes in a piece, of any length; gives the messages that are whole now: as views where they lie in one piece, in memory of their own
   * otherwise.
   *
   * @throws MessageError for a length that is above the bound or not in its shortest form; then the stream is of no use any more
   */
  push(piece: Uint8Array): Uint8Array[] {
    if (piece.length === 0) return []
    if (this.#kept.length === 0) this.#first = piece
    this.#kept.push(piece)
    this.#keptBytes += piece.length
    const found: Uint8Array[] = []
    while (this.#keptBytes >= this.#needed) {
      const prefix = this.#length(this.#front())
      if (prefix === undefined) {
        this.#needed = this.#keptBytes + 1
        break
      }
      const end = prefix.start + prefix.length
      if (end > this.#keptBytes) {
        this.#needed = end
        break
      }
      found.push(this.#take(end).subarray(prefix.start))
      this.#needed = 1
    }
    return found
  }

  /** The first bytes: at least those of a length, if there are so many. */
  #front(): Uint8Array {
    const [first] = this.#kept
    if (this.#kept.length === 1 || first!.length >= MAX_PREFIX_BYTES) return first!
    return Buffer.concat(this.#kept, Math.min(MAX_PREFIX_BYTES, this.#keptBytes))
  }

  /** Takes the first bytes, which end in the last piece. */
  #take(length: number): Uint8Array {
    const last = this.#kept.at(-1)!
    const rest = last.subarray(last.length - (this.#keptBytes - length))
    const copied = this.#kept.length > 1
    const taken = copied ? Buffer.concat(this.#kept, length) : last.subarray(0, length)
    if (copied) {
      if (this.#first !== undefined) this.#onCopied(this.#first)
      for (const piece of this.#kept.slice(1, -1)) this.#onCopied(piece)
      if (rest.length === 0) this.#onCopied(last)
    }
    this.#first = copied ? last : undefined
    this.#kept = rest.length === 0 ? [] : [rest]
    this.#keptBytes = rest.length
    return taken
  }

  #length(bytes: Uint8Array): { length: number; start: number } | undefined {
    let length = 0
    for (let i = 0; i < MAX_PREFIX_BYTES; i++) {
      const byte = bytes[i]
      if (byte === undefined) return undefined
      length += (byte & 0x7f) * 128 ** i
      if (byte >= 0x80) continue
      if (byte === 0 && i > 0) break
      if (length > this.#maxLength) {
        throw new MessageError(this.#what, `has ${length} bytes, more than ${this.#maxLength}`)
      }
      return { length, start: i + 1 }
    }
    throw new MessageError(this.#what, 'has a length that is not a varint in its shortest form, or too large')
  }
}
