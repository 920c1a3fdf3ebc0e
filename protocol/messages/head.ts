/** What a node says of its inventory, signed, so that any peer may pass it on. */
import { MessageError } from '../errors.ts'
import { checkNetwork } from '../ids.ts'
import {
  FINGERPRINT_BYTES,
  HASH_BYTES,
  MAX_HEAD_BYTES,
  MAX_HEAD_HASHES,
  MAX_NETWORK_LENGTH,
  MAX_PEER_ID_BYTES,
  SIGNATURE_BYTES,
} from '../limits.ts'
import { items, someBytes, text, uint } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'

/** What stands before a head's body in what is signed, so that a signature for one purpose is none for another. */
export const HEAD_DOMAIN = Buffer.from('gachix-head:1\n')

/**
 * State of the inventory of `peer` after the change `seq` of `epoch`.
 *
 * - `minSeq`: the lowest cursor from which the log can be read; changes after it are kept.
 * - `count`, `fingerprint`: number of hashes, and XOR of their first 8 bytes.
 * - `newest`: hash parts that the last changes added, oldest first: the last one is of change `seq`, the one before of `seq - 1`, and so
 *   on. No change among them is a removal. So a follower that has all before them needs nothing else.
 * - `time`: when it was made, in milliseconds since 1970.
 */
export type Head = MessageOf<typeof HEAD_SHAPE>

const HEAD_SHAPE = {
  peer: [1, someBytes(1, MAX_PEER_ID_BYTES)],
  network: [2, text(MAX_NETWORK_LENGTH)],
  epoch: [3, uint()],
  seq: [4, uint()],
  minSeq: [5, uint()],
  count: [6, uint()],
  fingerprint: [7, someBytes(FINGERPRINT_BYTES)],
  newest: [8, items(HASH_BYTES, MAX_HEAD_HASHES)],
  time: [9, uint()],
} as const

/** The body of a signed head. */
export const HEAD = messageCodec('head', MAX_HEAD_BYTES, HEAD_SHAPE, (head) => {
  checkNetwork(head.network)
  if (head.epoch === 0) throw new MessageError('head.epoch', 'is 0')
  if (head.minSeq > head.seq) throw new MessageError('head.minSeq', 'is above seq')
  if (head.count > head.seq) throw new MessageError('head.count', 'is more than were ever added')
  const newest = head.newest.length / HASH_BYTES
  if (newest > head.seq) throw new MessageError('head.newest', 'are more than there were changes')
  if (newest > head.count) throw new MessageError('head.newest', 'are more than there are hashes')
})

/**
 * A head as it travels: the bytes of its body (`HEAD`), and the peer's Ed25519 signature over `HEAD_DOMAIN` and these bytes. Whoever
 * passes it on passes the same bytes, so that fields of later versions stay under the signature.
 */
export type SignedHead = MessageOf<typeof SIGNED_SHAPE>

const SIGNED_SHAPE = {
  body: [1, someBytes(1, MAX_HEAD_BYTES)],
  signature: [2, someBytes(SIGNATURE_BYTES)],
} as const

export const SIGNED_HEAD = messageCodec('signed head', MAX_HEAD_BYTES, SIGNED_SHAPE)

/** What the signature of a head's body is over. */
export function headMessage(body: Uint8Array): Uint8Array {
  return Buffer.concat([HEAD_DOMAIN, body])
}
