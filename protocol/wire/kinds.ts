/** What a field of a message can hold. Absent fields have a default, as in proto3, and a default is never written. */
import { MessageError } from '../errors.ts'
import { MAX_INTEGER } from '../limits.ts'
import { LENGTH_DELIMITED, type Reader, VARINT } from './reader.ts'
import type { Writer } from './writer.ts'

/** How values of one type travel. `what` names message and field in errors. */
export interface Kind<T> {
  readonly wireType: number
  /** Whether the field may occur more than once. */
  readonly repeated: boolean
  /** Value of a field that is not there. @throws MessageError when it has to be */
  absent(what: string): T
  isAbsent(value: T): boolean
  /** One piece for each occurrence. @throws MessageError when the value breaks a bound */
  write(writer: Writer, number: number, value: T, what: string): void
  /** Takes in one occurrence. @throws MessageError */
  read(reader: Reader, before: T | undefined, what: string): T
}

/** Value type of a kind. */
export type ValueOf<K> = K extends Kind<infer T> ? T : never

/** Encoding and decoding of one kind of message; what `messageCodec` makes, and what fields can hold. */
export interface Codec<T> {
  readonly name: string
  /** The one encoding. @throws MessageError when the value breaks a bound */
  encode(value: T): Uint8Array
  /**
   * Views into the given bytes where the value holds bytes. Unknown fields are skipped.
   *
   * @throws MessageError for anything that is not this message in its one encoding, and for what breaks a bound
   */
  decode(bytes: Uint8Array): T
}

/** An integer from 0 to `max`; 0 when absent. */
export function uint(max = MAX_INTEGER): Kind<number> {
  const check = (value: number, what: string): number => {
    if (!Number.isSafeInteger(value) || value < 0 || value > max) {
      throw new MessageError(what, `${value} is not an integer from 0 to ${max}`)
    }
    return value
  }
  return {
    wireType: VARINT,
    repeated: false,
    absent: () => 0,
    isAbsent: (value) => value === 0,
    write: (writer, number, value, what) => {
      writer.tag(number, VARINT)
      writer.varint(check(value, what))
    },
    read: (reader, _, what) => check(reader.varint(), what),
  }
}

/** `false` when absent. */
export function flag(): Kind<boolean> {
  return {
    wireType: VARINT,
    repeated: false,
    absent: () => false,
    isAbsent: (value) => !value,
    write: (writer, number) => {
      writer.tag(number, VARINT)
      writer.varint(1)
    },
    read: (reader, _, what) => {
      const value = reader.varint()
      if (value > 1) throw new MessageError(what, 'is neither 0 nor 1')
      return value === 1
    },
  }
}

/** Bytes of at most `max`; empty when absent. */
export function bytes(max: number): Kind<Uint8Array> {
  return delimited<Uint8Array>({
    absent: () => new Uint8Array(0),
    isAbsent: (value) => value.length === 0,
    encode: (value, what) => checkLength(value, 0, max, what),
    decode: (value, what) => checkLength(value, 0, max, what),
  })
}

/** Bytes that must be there: from `min` to `max` (exactly `min` when no `max` is given). */
export function someBytes(min: number, max = min): Kind<Uint8Array> {
  return delimited<Uint8Array>({
    absent: missing,
    isAbsent: () => false,
    encode: (value, what) => checkLength(value, min, max, what),
    decode: (value, what) => checkLength(value, min, max, what),
  })
}

/** From `min` to `max` bytes (exactly `min` when no `max` is given), or `undefined` when absent. */
export function optionalBytes(min: number, max = min): Kind<Uint8Array | undefined> {
  return delimited<Uint8Array | undefined>({
    absent: () => undefined,
    isAbsent: (value) => value === undefined,
    encode: (value, what) => checkLength(value!, min, max, what),
    decode: (value, what) => checkLength(value, min, max, what),
  })
}

/** At most `max` items of `width` bytes each, one after the other; none when absent. */
export function items(width: number, max: number): Kind<Uint8Array> {
  const check = (value: Uint8Array, what: string): Uint8Array => {
    if (value.length % width !== 0)
      throw new MessageError(what, `${value.length} bytes are no items of ${width}`)
    return checkLength(value, 0, max * width, what)
  }
  return delimited<Uint8Array>({
    absent: () => new Uint8Array(0),
    isAbsent: (value) => value.length === 0,
    encode: check,
    decode: check,
  })
}

/** Text of at most `max` UTF-16 units, without control characters; empty when absent. */
export function text(max: number): Kind<string> {
  return delimited({
    absent: () => '',
    isAbsent: (value) => value === '',
    encode: (value, what) => Buffer.from(checkText(value, max, what)),
    decode: (value, what) => decodeText(value, max, what),
  })
}

/** At most `max` texts, none of them empty, each of at most `length` units. */
export function texts(max: number, length: number): Kind<readonly string[]> {
  return several(max, {
    encode: (value, what) => Buffer.from(checkText(value, length, what)),
    decode: (value, what) => decodeText(value, length, what),
  })
}

/** At most `max` pieces of `min` to `longest` bytes. */
export function pieces(max: number, min: number, longest: number): Kind<readonly Uint8Array[]> {
  return several(max, {
    encode: (value, what) => checkLength(value, min, longest, what),
    decode: (value, what) => checkLength(value, min, longest, what),
  })
}

/** At most `max` messages. */
export function messages<T>(max: number, codec: Codec<T>): Kind<readonly T[]> {
  return several(max, codec)
}

/** A message within a message; `undefined` when absent. */
export function nested<T>(codec: Codec<T>): Kind<T | undefined> {
  return delimited<T | undefined>({
    absent: () => undefined,
    isAbsent: (value) => value === undefined,
    encode: (value) => codec.encode(value!),
    decode: (value) => codec.decode(value),
  })
}

interface Coding<T> {
  encode(value: T, what: string): Uint8Array
  decode(bytes: Uint8Array, what: string): T
}

function delimited<T>(coding: Coding<T> & Pick<Kind<T>, 'absent' | 'isAbsent'>): Kind<T> {
  return {
    wireType: LENGTH_DELIMITED,
    repeated: false,
    absent: coding.absent,
    isAbsent: coding.isAbsent,
    write: (writer, number, value, what) => {
      writer.tag(number, LENGTH_DELIMITED)
      writer.bytes(coding.encode(value, what))
    },
    read: (reader, _, what) => coding.decode(reader.bytes(), what),
  }
}

function several<T>(max: number, coding: Coding<T>): Kind<readonly T[]> {
  const tooMany = (what: string): MessageError => new MessageError(what, `more than ${max} of them`)
  return {
    wireType: LENGTH_DELIMITED,
    repeated: true,
    absent: () => [],
    isAbsent: (value) => value.length === 0,
    write: (writer, number, value, what) => {
      if (value.length > max) throw tooMany(what)
      for (const item of value) {
        writer.tag(number, LENGTH_DELIMITED)
        writer.bytes(coding.encode(item, what))
      }
    },
    read: (reader, before, what) => {
      const list = (before ?? []) as T[]
      if (list.length === max) throw tooMany(what)
      list.push(coding.decode(reader.bytes(), what))
      return list
    },
  }
}

function missing(what: string): never {
  throw new MessageError(what, 'is missing')
}

function checkLength(value: Uint8Array, min: number, max: number, what: string): Uint8Array {
  if (value.length >= min && value.length <= max) return value
  throw new MessageError(
    what,
    `has ${value.length} bytes instead of ${min === max ? min : `${min} to ${max}`}`,
  )
}

/** Control characters would end up in logs and on terminals. */
const PLAIN = /^[^\p{Cc}\p{Cs}]+$/u
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function checkText(value: string, max: number, what: string): string {
  if (value.length > max) throw new MessageError(what, `has ${value.length} characters, more than ${max}`)
  if (!PLAIN.test(value)) throw new MessageError(what, 'is not plain text')
  return value
}

function decodeText(value: Uint8Array, max: number, what: string): string {
  // no character takes more than 3 bytes for each UTF-16 unit
  if (value.length > 3 * max) throw new MessageError(what, `has ${value.length} bytes`)
  let decoded: string
  try {
    decoded = UTF8.decode(value)
  } catch {
    throw new MessageError(what, 'is not UTF-8')
  }
  return checkText(decoded, max, what)
}
