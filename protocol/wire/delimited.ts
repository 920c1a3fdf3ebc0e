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
  #kept: Uint8Array[] = []
  #keptBytes = 0
  /** Bytes that must be there before the next look is of use. */
  #needed = 1

  /** @param maxLength of one message, without its length */
  constructor(what: string, maxLength: number) {
    this.#what = what
    this.#maxLength = maxLength
  }

  /** Whether the stream stands between two messages. */
  get between(): boolean {
    return this.#keptBytes === 0
  }

  /**
   * Takes in a piece, of any length; gives the messages that are whole now, as views where they lie in one piece.
   *
   * @throws MessageError for a length that is above the bound or not in its shortest form; then the stream is of no use any more
   */
  push(piece: Uint8Array): Uint8Array[] {
    if (piece.length === 0) return []
    this.#kept.push(piece)
    this.#keptBytes += piece.length
    const found: Uint8Array[] = []
    if (this.#keptBytes < this.#needed) return found
    const whole = this.#kept.length === 1 ? piece : Buffer.concat(this.#kept)
    let at = 0
    for (;;) {
      const prefix = this.#length(whole, at)
      if (prefix === undefined) {
        this.#needed = whole.length - at + 1
        break
      }
      const end = prefix.start + prefix.length
      if (end > whole.length) {
        this.#needed = end - at
        break
      }
      found.push(whole.subarray(prefix.start, end))
      at = end
    }
    this.#kept = at === whole.length ? [] : [whole.subarray(at)]
    this.#keptBytes = whole.length - at
    return found
  }

  #length(bytes: Uint8Array, at: number): { length: number; start: number } | undefined {
    let length = 0
    for (let i = 0; i < MAX_PREFIX_BYTES; i++) {
      const byte = bytes[at + i]
      if (byte === undefined) return undefined
      length += (byte & 0x7f) * 128 ** i
      if (byte >= 0x80) continue
      if (byte === 0 && i > 0) break
      if (length > this.#maxLength) {
        throw new MessageError(this.#what, `has ${length} bytes, more than ${this.#maxLength}`)
      }
      return { length, start: at + i + 1 }
    }
    throw new MessageError(this.#what, 'has a length that is not a varint in its shortest form, or too large')
  }
}
