import { MessageError } from '../errors.ts'
import { MAX_INTEGER } from '../limits.ts'

/** The two wire types of protobuf that our fields use. */
export const VARINT = 0
export const LENGTH_DELIMITED = 2
/** Fixed-size ones, which later versions may use: they can be skipped. */
const FIXED64 = 1
const FIXED32 = 5

/** Highest field number of protobuf. */
const MAX_FIELD = 2 ** 29 - 1

/** Reads protobuf's wire format from bytes, strictly: shortest varints only, nothing beyond the end. */
export class Reader {
  readonly #bytes: Uint8Array
  readonly #what: string
  #at = 0

  /** @param what named in errors */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  /** @throws MessageError when it is not the shortest form, above 2^53 - 1, or cut off */
  varint(): number {
    let value = 0
    let scale = 1
    for (let length = 1; ; length++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw this.#error('ends within a number')
      value += (byte & 0x7f) * scale
      if (value > MAX_INTEGER) throw this.#error('has a number above 2^53 - 1')
      if (byte < 0x80) {
        if (byte === 0 && length > 1) throw this.#error('has a number that is not in its shortest form')
        return value
      }
      if (length === 8) throw this.#error('has a number above 2^53 - 1')
      scale *= 128
    }
  }

  /** Number and wire type of the field that begins here. @throws MessageError when there is no such field */
  tag(): { number: number; wireType: number } {
    const tag = this.varint()
    const number = Math.floor(tag / 8)
    if (number === 0 || number > MAX_FIELD) throw this.#error(`has a field number ${number}`)
    return { number, wireType: tag % 8 }
  }

  /** What follows a length, as a view. @throws MessageError when it is cut off */
  bytes(): Uint8Array {
    return this.#take(this.varint())
  }

  /** Passes over the value of a field of any wire type. @throws MessageError when it is cut off, or a group */
  skip(wireType: number): void {
    if (wireType === VARINT) this.#skipVarint()
    else if (wireType === LENGTH_DELIMITED) this.bytes()
    else if (wireType === FIXED64) this.#take(8)
    else if (wireType === FIXED32) this.#take(4)
    else throw this.#error(`has a field of wire type ${wireType}`)
  }

  /** A varint of a later version may have 64 bits. */
  #skipVarint(): void {
    for (let length = 1; length <= 10; length++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw this.#error('ends within a number')
      if (byte < 0x80) return
    }
    throw this.#error('has a number of more than 64 bits')
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.length) throw this.#error('ends within a field')
    const part = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return part
  }

  #error(problem: string): MessageError {
    return new MessageError(this.#what, problem)
  }
}
