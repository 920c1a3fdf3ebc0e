/**
 * The journal's bytes. A file begins with `HEADER`; records follow one on another:
 *
 * | bytes | content |
 * |---|---|
 * | 4 | `ff 47 4a 01`; `ff` occurs nowhere in UTF-8, so that a record can be found again behind damage |
 * | 4 | length of the payload, little endian, at least 1 |
 * | 4 | CRC-32 of the length's four bytes and the payload, little endian |
 * | n | payload: lines `<object id> <ref name>` that set a ref and `- <ref name>` that delete one, each ended by LF |
 */
import { crc32 } from 'node:zlib'
import { isOid, type Oid } from '../oid.ts'
import { isRefName } from './ref-name.ts'

/** Changes that become visible together. Each name stands in it once. */
export interface RefBatch {
  set: [name: string, oid: Oid][]
  delete: string[]
}

/** First bytes of every journal. */
export const JOURNAL_HEADER = Buffer.from('gachix-journal 1\n')
export const RECORD_HEADER_BYTES = 12
/** Largest payload of one record, in bytes. */
export const MAX_RECORD_BYTES = 64 * 1024 * 1024

/** First bytes of every record. */
export const RECORD_MAGIC = Buffer.from([0xff, 0x47, 0x4a, 0x01])

/** A batch's lines. Names and ids must be valid. */
export function encodeBatch(batch: RefBatch): Buffer {
  let text = ''
  for (const name of batch.delete) text += `- ${name}\n`
  for (const [name, oid] of batch.set) text += `${oid} ${name}\n`
  return Buffer.from(text)
}

/** One record of the lines of one or more batches. */
export function encodeRecord(lines: readonly Buffer[]): Buffer {
  const length = lines.reduce((sum, part) => sum + part.length, 0)
  const record = Buffer.concat([Buffer.alloc(RECORD_HEADER_BYTES), ...lines])
  RECORD_MAGIC.copy(record)
  record.writeUInt32LE(length, 4)
  record.writeUInt32LE(checksum(record.subarray(4, 8), record.subarray(RECORD_HEADER_BYTES)), 8)
  return record
}

/**
 * Length of the whole record that begins with these bytes.
 *
 * @returns `undefined` when this is not the beginning of a record
 */
export function recordLength(header: Buffer): number | undefined {
  if (header.length < RECORD_HEADER_BYTES || RECORD_MAGIC.compare(header, 0, 4) !== 0) return undefined
  const length = header.readUInt32LE(4)
  return length === 0 || length > MAX_RECORD_BYTES ? undefined : RECORD_HEADER_BYTES + length
}

/** Whether a record of the right length is as it was written. */
export function isIntact(record: Buffer): boolean {
  return record.readUInt32LE(8) === checksum(record.subarray(4, 8), record.subarray(RECORD_HEADER_BYTES))
}

/**
 * The changes of an intact record.
 *
 * @returns `undefined` when a line is not what we write
 */
export function decodeRecord(record: Buffer): [name: string, oid: Oid | undefined][] | undefined {
  const changes: [string, Oid | undefined][] = []
  const text = record.toString('utf8', RECORD_HEADER_BYTES)
  if (!text.endsWith('\n')) return undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const space = line.indexOf(' ')
    const value = line.slice(0, Math.max(space, 0))
    const name = line.slice(space + 1)
    if (!isRefName(name)) return undefined
    if (value === '-') changes.push([name, undefined])
    else if (isOid(value)) changes.push([name, value])
    else return undefined
  }
  return changes
}

function checksum(length: Uint8Array, payload: Uint8Array): number {
  return crc32(payload, crc32(length))
}
