/** `have?`: which of these packages does a peer have, and under which Git ids. One question and one answer a stream. */
import { MessageError } from '../errors.ts'
import { HASH_BYTES, MAX_HAVE_HASHES, MAX_HAVE_MESSAGE, OID_BYTES } from '../limits.ts'
import { items, messages, nested, optionalBytes, someBytes } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'
import { REFUSAL } from './refusal.ts'

/** `hashes`: hash parts of store paths, in any order. */
export type HaveRequest = MessageOf<typeof REQUEST_SHAPE>

const REQUEST_SHAPE = { hashes: [1, items(HASH_BYTES, MAX_HAVE_HASHES)] } as const

export const HAVE_REQUEST = messageCodec('have request', MAX_HAVE_MESSAGE, REQUEST_SHAPE, ({ hashes }) => {
  if (hashes.length === 0) throw new MessageError('have request.hashes', 'names none')
})

/** What a peer has: ids of the narinfo blob and of the commit; no commit when it has the package without its references. */
export type HavePackage = MessageOf<typeof PACKAGE_SHAPE>

const PACKAGE_SHAPE = {
  hash: [1, someBytes(HASH_BYTES)],
  narinfo: [2, someBytes(OID_BYTES)],
  commit: [3, optionalBytes(OID_BYTES)],
} as const

export const HAVE_PACKAGE = messageCodec('package', 256, PACKAGE_SHAPE)

/** Those of the asked-for packages that the peer has and shares. */
export type HaveAnswer = MessageOf<typeof ANSWER_SHAPE>

const ANSWER_SHAPE = {
  packages: [1, messages(MAX_HAVE_HASHES, HAVE_PACKAGE)],
  refusal: [15, nested(REFUSAL)],
} as const

export const HAVE_ANSWER = messageCodec('have answer', MAX_HAVE_MESSAGE, ANSWER_SHAPE)
