/** Why something that was asked for does not come: in an answer, or as the last frame of a transfer. */
import { MAX_REASON_LENGTH } from '../limits.ts'
import { text, uint } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'

/** Codes of refusals. A reader takes a code that it does not know for `INTERNAL`. */
export const REFUSAL_CODES = {
  /** The request is not one, or breaks a bound. Do not repeat it. */
  BAD_REQUEST: 1,
  /** Too much at once, of this peer or of all. Come back later. */
  BUSY: 2,
  /** What was asked for is not here, or not for this peer: the two look the same. */
  NOT_FOUND: 3,
  /** The sender could not finish; the fault is on its side. */
  INTERNAL: 4,
  /** The sender stops. */
  STOPPING: 5,
  /** The epoch that the question names is not the current one. */
  OTHER_EPOCH: 6,
} as const

export type Refusal = MessageOf<typeof SHAPE>

const SHAPE = { code: [1, uint(1_000_000)], reason: [2, text(MAX_REASON_LENGTH)] } as const

/** `reason` is for logs, and names no package. */
export const REFUSAL = messageCodec('refusal', 4 * MAX_REASON_LENGTH, SHAPE)
