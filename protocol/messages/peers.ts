/** Peer exchange: admitted peers tell each other whom else they know, so that one address is enough to join. */
import {
  MAX_ADDRESS_BYTES,
  MAX_ADDRESSES,
  MAX_PEER_ID_BYTES,
  MAX_PEER_RECORDS,
  MAX_PEERS_MESSAGE,
} from '../limits.ts'
import { messages, nested, pieces, someBytes, uint } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'
import { REFUSAL } from './refusal.ts'

/** `limit`: how many records are of use; 0 for as many as the other side gives. */
export type PeersRequest = MessageOf<typeof REQUEST_SHAPE>

const REQUEST_SHAPE = { limit: [1, uint(MAX_PEER_RECORDS)] } as const

export const PEERS_REQUEST = messageCodec('peers request', 64, REQUEST_SHAPE)

/** `addresses`: binary multiaddrs without the peer id, the ones that worked first. Hints: dialling proves them. */
export type PeerRecord = MessageOf<typeof RECORD_SHAPE>

const RECORD_SHAPE = {
  peer: [1, someBytes(1, MAX_PEER_ID_BYTES)],
  addresses: [2, pieces(MAX_ADDRESSES, 1, MAX_ADDRESS_BYTES)],
} as const

export const PEER_RECORD = messageCodec('peer record', 3072, RECORD_SHAPE)

export type PeersAnswer = MessageOf<typeof ANSWER_SHAPE>

const ANSWER_SHAPE = {
  peers: [1, messages(MAX_PEER_RECORDS, PEER_RECORD)],
  refusal: [15, nested(REFUSAL)],
} as const

export const PEERS_ANSWER = messageCodec('peers answer', MAX_PEERS_MESSAGE, ANSWER_SHAPE)
