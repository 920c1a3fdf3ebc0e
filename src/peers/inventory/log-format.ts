/**
 * The bytes of the file that a node's own inventory log is kept in. It begins with a head, then batches follow one on another:
 *
 * | bytes | content |
 * |---|---|
 * | 19 | `gachix-inventory 1\n` |
 * | 32 | id of the policy that filtered it |
 * | 8 | epoch, big endian like all numbers here |
 * | 8 | number of the last change that the base has in it |
 * | 4 | number n of hash parts in the base |
 * | 20 n | the base: hash parts in byte order |
 * | 4 | CRC-32 of everything before |
 *
 * A batch is the number n of its changes (4 bytes, at least 1), the changes (21 n bytes), and the CRC-32 of both. A batch at the end that is not
 * whole was not finished, so nobody heard of it: it does not count.
 */
import { crc32 } from 'node:zlib'
import { ADDED, CHANGE_BYTES, HASH_BYTES } from '../../../protocol/index.ts'
import type { StoredLog } from './journal.ts'
import { asBuffer } from './sorted-records.ts'

const MAGIC = Buffer.from('gachix-inventory 1\n')
const POLICY_BYTES = 32
const FIXED_BYTES = MAGIC.length + POLICY_BYTES + 8 + 8 + 4
const CRC_BYTES = 4
const COUNT_BYTES = 4

/** The head and, in one batch, the changes that are there already; in pieces, of which the largest, the base, is not copied. */
export function encodeLog(log: StoredLog): Uint8Array[] {
  const head = Buffer.alloc(FIXED_BYTES)
  MAGIC.copy(head)
  head.write(log.policy, MAGIC.length, 'hex')
  head.writeBigUInt64BE(BigInt(log.epoch), MAGIC.length + POLICY_BYTES)
  head.writeBigUInt64BE(BigInt(log.baseSeq), MAGIC.length + POLICY_BYTES + 8)
  head.writeUInt32BE(log.base.length / HASH_BYTES, FIXED_BYTES - 4)
  const checksum = Buffer.alloc(CRC_BYTES)
  checksum.writeUInt32BE(crc32(log.base, crc32(head)))
  return [head, log.base, checksum, ...(log.changes.length === 0 ? [] : [encodeBatch(log.changes)])]
}

/** One batch. @param changes 21 bytes each, at least one */
export function encodeBatch(changes: Uint8Array): Buffer {
  const count = Buffer.alloc(COUNT_BYTES)
  count.writeUInt32BE(changes.length / CHANGE_BYTES)
  const checksum = Buffer.alloc(CRC_BYTES)
  checksum.writeUInt32BE(crc32(changes, crc32(count)))
  return Buffer.concat([count, changes, checksum])
}

/**
 * The log in a file.
 *
 * @returns the log, and the length of the part of the file that it is; `undefined` when the head is not as it was written
 */
export function decodeLog(file: Uint8Array): { log: StoredLog; length: number } | undefined {
  const bytes = asBuffer(file)
  if (bytes.length < FIXED_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  const baseEnd = FIXED_BYTES + bytes.readUInt32BE(FIXED_BYTES - 4) * HASH_BYTES
  if (!isIntact(bytes, 0, baseEnd)) return undefined
  const epoch = Number(bytes.readBigUInt64BE(MAGIC.length + POLICY_BYTES))
  const baseSeq = Number(bytes.readBigUInt64BE(MAGIC.length + POLICY_BYTES + 8))
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(baseSeq) || epoch === 0) return undefined
  let at = baseEnd + CRC_BYTES
  const batches: Buffer[] = []
  while (at + COUNT_BYTES <= bytes.length) {
    const count = bytes.readUInt32BE(at)
    const end = at + COUNT_BYTES + count * CHANGE_BYTES
    if (count === 0 || !isIntact(bytes, at, end)) break
    const changes = bytes.subarray(at + COUNT_BYTES, end)
    if (!areChanges(changes)) break
    batches.push(changes)
    at = end + CRC_BYTES
  }
  const policy = bytes.toString('hex', MAGIC.length, MAGIC.length + POLICY_BYTES)
  const base = bytes.subarray(FIXED_BYTES, baseEnd)
  return { log: { policy, epoch, baseSeq, base, changes: Buffer.concat(batches) }, length: at }
}

function areChanges(changes: Buffer): boolean {
  for (let at = 0; at < changes.length; at += CHANGE_BYTES) if (changes[at]! > ADDED) return false
  return true
}

/** Whether the bytes from `start` to `end` are followed by their checksum. */
function isIntact(bytes: Buffer, start: number, end: number): boolean {
  return end + CRC_BYTES <= bytes.length && bytes.readUInt32BE(end) === crc32(bytes.subarray(start, end))
}
