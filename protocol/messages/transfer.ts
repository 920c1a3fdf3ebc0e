/**
 * Frames of a transfer: data of any length with credit, so that neither side ever keeps more than a window of it.
 *
 * The receiver grants credit in bytes of data; the sender sends no more than was granted. It closes with `end` or `refusal`. A
 * transfer counts only when `end` has come and its length and digest are those of the data.
 */
import { createHash } from 'node:crypto'
import { MessageError } from '../errors.ts'
import { CREDIT_WINDOW, MAX_FRAME_BYTES, MAX_FRAME_DATA, SHA256_BYTES } from '../limits.ts'
import { nested, optionalBytes, someBytes, uint } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'
import { LENGTH_DELIMITED } from '../wire/reader.ts'
import { encodeVarint } from '../wire/writer.ts'
import { REFUSAL } from './refusal.ts'

/** The end of the data: how much there was, and its SHA-256. */
const END = messageCodec('end', 128, { length: [1, uint()], sha256: [2, someBytes(SHA256_BYTES)] } as const)

/** From the sender: exactly one of these. */
export type Frame = MessageOf<typeof FRAME_SHAPE>

const DATA_FIELD = 1
const FRAME_SHAPE = {
  data: [DATA_FIELD, optionalBytes(1, MAX_FRAME_DATA)],
  end: [2, nested(END)],
  refusal: [3, nested(REFUSAL)],
} as const

export const FRAME = messageCodec('frame', MAX_FRAME_BYTES, FRAME_SHAPE, ({ data, end, refusal }) => {
  const given = [data, end, refusal].filter((choice) => choice !== undefined).length
  if (given !== 1) throw new MessageError('frame', `is ${given} things instead of one`)
})

/** From the receiver: so many more bytes of data may be sent. */
export type Credit = MessageOf<typeof CREDIT_SHAPE>

const CREDIT_SHAPE = { bytes: [1, uint(CREDIT_WINDOW)] } as const

export const CREDIT = messageCodec('credit', 64, CREDIT_SHAPE, (credit) => {
  if (credit.bytes === 0) throw new MessageError('credit.bytes', 'is 0')
})

/**
 * What stands before `length` bytes of data to make them a delimited frame, so that data need not be copied into one.
 *
 * @param length from 1 to `MAX_FRAME_DATA`
 */
export function dataFramePrefix(length: number): Uint8Array {
  if (!(length >= 1 && length <= MAX_FRAME_DATA)) throw new MessageError('frame.data', `has ${length} bytes`)
  const field = Buffer.concat([encodeVarint(DATA_FIELD * 8 + LENGTH_DELIMITED), encodeVarint(length)])
  return Buffer.concat([encodeVarint(field.length + length), field])
}

/** Length and SHA-256 of a transfer's data, as either side takes them along. */
export class TransferDigest {
  readonly #hash = createHash('sha256')
  #length = 0

  get length(): number {
    return this.#length
  }

  update(data: Uint8Array): void {
    this.#hash.update(data)
    this.#length += data.length
  }

  /** Ends the digest. */
  end(): NonNullable<Frame['end']> {
    return { length: this.#length, sha256: this.#hash.digest() }
  }

  /** Ends the digest, and compares it with the other side's. @throws MessageError when the data is not what was sent */
  check(end: NonNullable<Frame['end']>): void {
    if (end.length !== this.#length) {
      throw new MessageError('transfer', `ended after ${this.#length} bytes instead of ${end.length}`)
    }
    if (!this.#hash.digest().equals(end.sha256))
      throw new MessageError('transfer', 'has another SHA-256 than its data')
  }
}
