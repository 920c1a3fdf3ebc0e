import { MessageError } from '../errors.ts'
import type { Codec, Kind, ValueOf } from './kinds.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

/** The fields of a message by name: protobuf's field number and what it holds. */
export type Shape = Readonly<Record<string, readonly [number: number, kind: Kind<unknown>]>>

/** The value of a message: fields whose kind can be `undefined` may be left out. */
export type MessageOf<S extends Shape> = Readonly<
  { [K in keyof S as undefined extends ValueOf<S[K][1]> ? never : K]: ValueOf<S[K][1]> } & {
    [K in keyof S as undefined extends ValueOf<S[K][1]> ? K : never]?: ValueOf<S[K][1]>
  }
>

interface Field {
  readonly name: string
  readonly what: string
  readonly number: number
  readonly kind: Kind<unknown>
}

/**
 * A message in protobuf's wire format with exactly one encoding: fields in the order of their numbers, shortest varints, no
 * defaults written. What a decoder accepts, but for unknown fields, is what an encoder writes.
 *
 * @param name for errors
 * @param maxLength of the encoding, in bytes; longer ones are refused before they are looked at
 * @param check throws a `MessageError` for what single fields cannot tell
 */
export function messageCodec<const S extends Shape>(
  name: string,
  maxLength: number,
  shape: S,
  check: (message: MessageOf<S>) => void = () => {},
): Codec<MessageOf<S>> {
  const fields: Field[] = Object.entries(shape)
    .map(([key, [number, kind]]) => ({
      name: key,
      what: `${name}.${key}`,
      number,
      kind,
    }))
    .sort((a, b) => a.number - b.number)
  const byNumber = new Map(fields.map((field) => [field.number, field]))
  const tooLong = (length: number): MessageError =>
    new MessageError(name, `has ${length} bytes, more than ${maxLength}`)

  return {
    name,

    encode(message) {
      check(message)
      const values = message as Readonly<Record<string, unknown>>
      const writer = new Writer()
      for (const { name: key, number, kind, what } of fields) {
        const value = values[key]
        if (!kind.isAbsent(value)) kind.write(writer, number, value, what)
      }
      if (writer.length > maxLength) throw tooLong(writer.length)
      return writer.finish()
    },

    decode(encoded) {
      if (encoded.length > maxLength) throw tooLong(encoded.length)
      const values: Record<string, unknown> = {}
      const reader = new Reader(encoded, name)
      let last = 0
      while (!reader.done) {
        const { number, wireType } = reader.tag()
        const field = byNumber.get(number)
        if (number < last) throw new MessageError(name, `has field ${number} after field ${last}`)
        if (field === undefined) reader.skip(wireType)
        else {
          const { kind, what } = field
          if (wireType !== kind.wireType) throw new MessageError(what, `is of wire type ${wireType}`)
          if (number === last && !kind.repeated) throw new MessageError(what, 'is there twice')
          const value = kind.read(reader, values[field.name], what)
          if (kind.isAbsent(value)) throw new MessageError(what, 'writes out its default')
          values[field.name] = value
        }
        last = number
      }
      for (const { name: key, kind, what } of fields) {
        if (values[key] !== undefined) continue
        const value = kind.absent(what)
        if (value !== undefined) values[key] = value
      }
      const message = values as unknown as MessageOf<S>
      check(message)
      return message
    },
  }
}
