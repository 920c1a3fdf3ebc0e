/**
 * Narinfos in bulk. The answer is a transfer (`transfer.ts`) whose data is a sequence of delimited `NARINFO` messages, in the order in
 * which they were asked for; what is not there is left out.
 */
import { MessageError } from '../errors.ts'
import {
  HASH_BYTES,
  MAX_NARINFO_BYTES,
  MAX_NARINFO_MESSAGE,
  MAX_NARINFO_REQUEST,
  MAX_NARINFOS,
} from '../limits.ts'
import { items, someBytes } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'

/** `hashes`: hash parts of store paths, in any order. */
export type NarinfosRequest = MessageOf<typeof REQUEST_SHAPE>

const REQUEST_SHAPE = { hashes: [1, items(HASH_BYTES, MAX_NARINFOS)] } as const

export const NARINFOS_REQUEST = messageCodec(
  'narinfos request',
  MAX_NARINFO_REQUEST,
  REQUEST_SHAPE,
  ({ hashes }) => {
    if (hashes.length === 0) throw new MessageError('narinfos request.hashes', 'names none')
  },
)

/** `blob`: the narinfo blob as it lies in the repository. */
export type Narinfo = MessageOf<typeof NARINFO_SHAPE>

const NARINFO_SHAPE = {
  hash: [1, someBytes(HASH_BYTES)],
  blob: [2, someBytes(1, MAX_NARINFO_BYTES)],
} as const

export const NARINFO = messageCodec('narinfo', MAX_NARINFO_MESSAGE, NARINFO_SHAPE)
