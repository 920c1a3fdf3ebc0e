import {
  HASH_BYTES,
  type InventoryAnswer,
  type InventoryRequest,
  MAX_BUCKET_HASHES,
  MAX_LOG_PAGE,
  MAX_SNAPSHOT_PAGE,
  REFUSAL_CODES,
} from '../../../protocol/index.ts'
import type { InventoryLog } from './inventory-log.ts'

/** What a node answers to a question about its inventory. */
export function answerInventory(log: InventoryLog, request: InventoryRequest): InventoryAnswer {
  const state = {
    epoch: log.epoch,
    seq: log.seq,
    minSeq: log.minSeq,
    count: log.count,
    fingerprint: log.fingerprint,
  }
  if (request.epoch !== 0 && request.epoch !== log.epoch) {
    return { ...state, refusal: { code: REFUSAL_CODES.OTHER_EPOCH, reason: 'the epoch is another one' } }
  }
  if (request.log !== undefined) {
    const changes = log.tail(request.log.after, MAX_LOG_PAGE)
    if (changes !== undefined) return { ...state, log: { start: request.log.after, changes } }
    return {
      ...state,
      refusal: { code: REFUSAL_CODES.NOT_FOUND, reason: 'the log does not have this cursor' },
    }
  }
  if (request.snapshot !== undefined) {
    const hashes = log.page(request.snapshot.after, MAX_SNAPSHOT_PAGE)
    const last = hashes.subarray(hashes.length - HASH_BYTES)
    const more = hashes.length > 0 && log.page(last, 1).length > 0
    return { ...state, snapshot: { hashes, more } }
  }
  if (request.digest !== undefined) {
    const { level, nodes } = request.digest
    return {
      ...state,
      digest: { values: Buffer.concat(numbers(nodes).map((node) => log.digestChildren(level, node))) },
    }
  }
  return { ...state, ...listBuckets(log, numbers(request.buckets!.buckets)) }
}

function listBuckets(
  log: InventoryLog,
  buckets: readonly number[],
): Pick<InventoryAnswer, 'buckets' | 'refusal'> {
  const lists: Buffer[] = []
  let room = MAX_BUCKET_HASHES * HASH_BYTES
  for (const bucket of buckets) {
    const hashes = log.bucket(bucket)
    if (hashes.length > room) break
    room -= hashes.length
    lists.push(hashes)
  }
  if (lists.length > 0) return { buckets: { listed: lists.length, hashes: Buffer.concat(lists) } }
  return { refusal: { code: REFUSAL_CODES.NOT_FOUND, reason: 'a bucket does not fit into an answer' } }
}

/** Numbers of 2 bytes, big endian. */
function numbers(bytes: Uint8Array): number[] {
  const found: number[] = []
  for (let at = 0; at < bytes.length; at += 2) found.push((bytes[at]! << 8) | bytes[at + 1]!)
  return found
}
