/**
 * Heads over a stream, for what gossip lost: on every new connection, after partitions, and now and then.
 *
 * The asker begins with a fingerprint of all heads that it knows. Are they the same on both sides, the answer is empty; else it lists
 * what the other side knows, and the asker sends what that lacks and asks for what is newer there.
 */
import { MessageError } from '../errors.ts'
import {
  FINGERPRINT_BYTES,
  MAX_HEAD_BYTES,
  MAX_HEADS,
  MAX_HEADS_MESSAGE,
  MAX_KNOWN_HEADS,
  MAX_PEER_ID_BYTES,
} from '../limits.ts'
import { flag, messages, nested, optionalBytes, pieces, someBytes, uint } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'
import { REFUSAL } from './refusal.ts'

/** The newest head of a peer that somebody knows. */
export type KnownHead = MessageOf<typeof KNOWN_SHAPE>

const KNOWN_SHAPE = {
  peer: [1, someBytes(1, MAX_PEER_ID_BYTES)],
  epoch: [2, uint()],
  seq: [3, uint()],
} as const

export const KNOWN_HEAD = messageCodec('known head', 128, KNOWN_SHAPE)

/**
 * - `fingerprint`: of the asker's known heads, see SPEC.md; asks for the list when the other side's is not equal.
 * - `heads`: signed heads that the receiver lacks.
 * - `want`: peer ids whose signed heads are asked for.
 */
export type HeadsRequest = MessageOf<typeof REQUEST_SHAPE>

const REQUEST_SHAPE = {
  fingerprint: [1, optionalBytes(FINGERPRINT_BYTES)],
  heads: [2, pieces(MAX_HEADS, 1, MAX_HEAD_BYTES)],
  want: [3, pieces(MAX_KNOWN_HEADS, 1, MAX_PEER_ID_BYTES)],
} as const

export const HEADS_REQUEST = messageCodec('heads request', MAX_HEADS_MESSAGE, REQUEST_SHAPE, (request) => {
  if (request.fingerprint === undefined && request.heads.length === 0 && request.want.length === 0) {
    throw new MessageError('heads request', 'asks and says nothing')
  }
})

/**
 * - `differs`: the fingerprints are not equal; then `known` is what the answering side knows.
 * - `heads`: those that were wanted and are known, as many as fit; the asker asks again for the rest.
 */
export type HeadsAnswer = MessageOf<typeof ANSWER_SHAPE>

const ANSWER_SHAPE = {
  differs: [1, flag()],
  known: [2, messages(MAX_KNOWN_HEADS, KNOWN_HEAD)],
  heads: [3, pieces(MAX_HEADS, 1, MAX_HEAD_BYTES)],
  refusal: [15, nested(REFUSAL)],
} as const

export const HEADS_ANSWER = messageCodec('heads answer', MAX_HEADS_MESSAGE, ANSWER_SHAPE)
