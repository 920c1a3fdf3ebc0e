/** The request for Git objects. The answer is a transfer (`transfer.ts`) whose data is one packfile. */
import { MessageError } from '../errors.ts'
import { MAX_HAVES, MAX_WANT_MESSAGE, MAX_WANTS, OID_BYTES } from '../limits.ts'
import { flag, items } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'

/**
 * - `wants`: object ids. A commit comes with its tree and its ancestors, a tree with all below it, a blob alone.
 * - `haves`: commits that the receiver has with everything that they reach; none of that is sent.
 * - `omitBlobs`: no blobs but those that `wants` names.
 */
export type Want = MessageOf<typeof SHAPE>

const SHAPE = {
  wants: [1, items(OID_BYTES, MAX_WANTS)],
  haves: [2, items(OID_BYTES, MAX_HAVES)],
  omitBlobs: [3, flag()],
} as const

export const WANT = messageCodec('want', MAX_WANT_MESSAGE, SHAPE, ({ wants }) => {
  if (wants.length === 0) throw new MessageError('want.wants', 'names none')
})
