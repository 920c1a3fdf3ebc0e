/**
 * Questions to a node about its own inventory: the tail of its log, pages of a snapshot, the digest. One question and one answer a
 * stream. Every answer names epoch and seq at the moment it was made.
 */
import { MessageError } from '../errors.ts'
import {
  CHANGE_BYTES,
  DIGEST_DEPTH,
  DIGEST_FANOUT,
  DIGEST_VALUE_BYTES,
  FINGERPRINT_BYTES,
  HASH_BYTES,
  MAX_BUCKET_HASHES,
  MAX_DIGEST_BUCKETS,
  MAX_DIGEST_NODES,
  MAX_INVENTORY_MESSAGE,
  MAX_LOG_PAGE,
  MAX_SNAPSHOT_PAGE,
} from '../limits.ts'
import { flag, items, nested, optionalBytes, someBytes, uint } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'
import { REFUSAL } from './refusal.ts'

/** First byte of a change in a page of the log. */
export const REMOVED = 0
export const ADDED = 1

/** Asks for the changes after the change `after`. */
const LOG_REQUEST = messageCodec('log request', 64, { after: [1, uint()] } as const)

/**
 * Changes `start + 1`, `start + 2`, …; each is `ADDED` or `REMOVED` and a hash part. `start` is the asked-for cursor. There are no
 * changes when the cursor is the newest, and a refusal when it is below `minSeq` or above `seq`.
 */
const LOG_PAGE_SHAPE = {
  start: [1, uint()],
  changes: [2, items(CHANGE_BYTES, MAX_LOG_PAGE)],
} as const

const LOG_PAGE = messageCodec('log page', MAX_INVENTORY_MESSAGE, LOG_PAGE_SHAPE, ({ changes }) => {
  for (let at = 0; at < changes.length; at += CHANGE_BYTES) {
    if (changes[at]! > ADDED)
      throw new MessageError('log page.changes', `operation ${changes[at]} is unknown`)
  }
})

/** Asks for the hashes above `after` in byte order, or for the first ones. */
const SNAPSHOT_REQUEST = messageCodec('snapshot request', 64, {
  after: [1, optionalBytes(HASH_BYTES)],
} as const)

/** `hashes` in byte order; `more` when some are left. */
const SNAPSHOT_PAGE = messageCodec(
  'snapshot page',
  MAX_INVENTORY_MESSAGE,
  { hashes: [1, items(HASH_BYTES, MAX_SNAPSHOT_PAGE)], more: [2, flag()] } as const,
  ({ hashes, more }) => {
    if (more && hashes.length === 0) throw new MessageError('snapshot page', 'is empty, but not the last one')
    checkAscending(hashes, HASH_BYTES, 'snapshot page.hashes')
  },
)

/** Asks for the values of the children of these nodes (2 bytes each, big endian, ascending) of one level, 0 being the root's. */
const DIGEST_REQUEST = messageCodec(
  'digest request',
  4096,
  { level: [1, uint(DIGEST_DEPTH - 1)], nodes: [2, items(2, MAX_DIGEST_NODES)] } as const,
  ({ level, nodes }) => checkNodes(nodes, DIGEST_FANOUT ** level, 'digest request.nodes'),
)

/** For each asked-for node the 16 values of its children, 4 bytes each. */
const DIGEST_PAGE = messageCodec('digest page', MAX_INVENTORY_MESSAGE, {
  values: [1, items(DIGEST_FANOUT * DIGEST_VALUE_BYTES, MAX_DIGEST_NODES)],
} as const)

/** Asks for the hashes in these buckets, that is nodes of level 4 (2 bytes each, big endian, ascending). */
const BUCKETS_REQUEST = messageCodec(
  'buckets request',
  4096,
  { buckets: [1, items(2, MAX_DIGEST_BUCKETS)] } as const,
  ({ buckets }) => checkNodes(buckets, DIGEST_FANOUT ** DIGEST_DEPTH, 'buckets request.buckets'),
)

/** All hashes of the first `listed` of the asked-for buckets in byte order: at least one bucket, as many as fit. */
const BUCKETS_PAGE = messageCodec(
  'buckets page',
  MAX_INVENTORY_MESSAGE,
  { listed: [1, uint(MAX_DIGEST_BUCKETS)], hashes: [2, items(HASH_BYTES, MAX_BUCKET_HASHES)] } as const,
  ({ listed, hashes }) => {
    if (listed === 0) throw new MessageError('buckets page.listed', 'is 0')
    checkAscending(hashes, HASH_BYTES, 'buckets page.hashes')
  },
)

/** Exactly one of `log`, `snapshot`, `digest` and `buckets`; all but the snapshot's first page need the current epoch. */
export type InventoryRequest = MessageOf<typeof REQUEST_SHAPE>

const REQUEST_SHAPE = {
  /** Epoch that the asker means; 0 for whichever is current. */
  epoch: [1, uint()],
  log: [2, nested(LOG_REQUEST)],
  snapshot: [3, nested(SNAPSHOT_REQUEST)],
  digest: [4, nested(DIGEST_REQUEST)],
  buckets: [5, nested(BUCKETS_REQUEST)],
} as const

export const INVENTORY_REQUEST = messageCodec(
  'inventory request',
  MAX_INVENTORY_MESSAGE,
  REQUEST_SHAPE,
  ({ log, snapshot, digest, buckets }) => checkOne([log, snapshot, digest, buckets], 'inventory request'),
)

/** State of the inventory when the answer was made, and exactly one of the rest. */
export type InventoryAnswer = MessageOf<typeof ANSWER_SHAPE>

const ANSWER_SHAPE = {
  epoch: [1, uint()],
  seq: [2, uint()],
  minSeq: [3, uint()],
  count: [4, uint()],
  fingerprint: [5, someBytes(FINGERPRINT_BYTES)],
  log: [6, nested(LOG_PAGE)],
  snapshot: [7, nested(SNAPSHOT_PAGE)],
  digest: [8, nested(DIGEST_PAGE)],
  buckets: [9, nested(BUCKETS_PAGE)],
  refusal: [15, nested(REFUSAL)],
} as const

export const INVENTORY_ANSWER = messageCodec(
  'inventory answer',
  MAX_INVENTORY_MESSAGE,
  ANSWER_SHAPE,
  ({ log, snapshot, digest, buckets, refusal, seq, minSeq }) => {
    checkOne([log, snapshot, digest, buckets, refusal], 'inventory answer')
    if (minSeq > seq) throw new MessageError('inventory answer.minSeq', 'is above seq')
    if (log !== undefined && log.start + log.changes.length / CHANGE_BYTES > seq) {
      throw new MessageError('inventory answer.log', 'goes beyond seq')
    }
  },
)

function checkOne(choices: readonly unknown[], what: string): void {
  const given = choices.filter((choice) => choice !== undefined).length
  if (given !== 1) throw new MessageError(what, `has ${given} of its alternatives instead of one`)
}

function checkNodes(nodes: Uint8Array, count: number, what: string): void {
  if (nodes.length === 0) throw new MessageError(what, 'names none')
  checkAscending(nodes, 2, what)
  const last = nodes.length - 2
  if (((nodes[last]! << 8) | nodes[last + 1]!) >= count)
    throw new MessageError(what, 'names one that is not there')
}

function checkAscending(list: Uint8Array, width: number, what: string): void {
  const buffer = Buffer.from(list.buffer, list.byteOffset, list.length)
  for (let at = width; at < buffer.length; at += width) {
    if (buffer.compare(buffer, at, at + width, at - width, at) >= 0) {
      throw new MessageError(what, 'are not in order, or one is there twice')
    }
  }
}
