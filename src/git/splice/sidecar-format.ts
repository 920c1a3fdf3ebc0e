/**
 * Layout of a splice sidecar, `<gitdir>/gachix/splice/<pack id>.splice`. Numbers are big-endian, CRC is CRC-32.
 *
 * - header, 48 bytes: magic `gxsplice`, format version (4 bytes), record length (4), number of records (8), pack id (20),
 *   CRC of the 44 bytes before (4)
 * - records, 24 bytes each, in the order of the objects in the pack's index: kind (1), zero (3), CRC of the content (4),
 *   finalBit (6), endBit (6), CRC of the 20 bytes before continued from the record's position as start value (4)
 * - trailer, 8 bytes: CRC of the header (4), `end.`
 *
 * The length of the file follows from the number of records. A record proves itself, wherever it is read.
 */
import { crc32 } from 'node:zlib'
import { NO_RECORD, SHORTEST_BLOCK_BITS, type SpliceRecord } from './record.ts'

const MAGIC = 'gxsplice'
const END_MAGIC = 'end.'
const VERSION = 1
const PACK_ID_PATTERN = /^[0-9a-f]{40}$/

export const SIDECAR_HEADER_LENGTH = 48
export const SIDECAR_RECORD_LENGTH = 24
export const SIDECAR_TRAILER_LENGTH = 8

/** Bit positions have 48 bits. */
const MAX_BIT = 2 ** 48 - 1

const KIND_NONE = 0
const KIND_CANONICAL = 1
const KIND_BITS = 2

/** Length in bytes of the sidecar of a pack of `count` objects. */
export function sidecarLength(count: number): number {
  return SIDECAR_HEADER_LENGTH + count * SIDECAR_RECORD_LENGTH + SIDECAR_TRAILER_LENGTH
}

/** Offset in bytes of the record at `position`. */
export function sidecarOffset(position: number): number {
  return SIDECAR_HEADER_LENGTH + position * SIDECAR_RECORD_LENGTH
}

/** @throws RangeError when the pack id is not 40 hex digits */
export function encodeHeader(packId: string, count: number): Buffer {
  if (!PACK_ID_PATTERN.test(packId)) throw new RangeError(`not a pack id (40 hex digits): ${packId}`)
  const header = Buffer.alloc(SIDECAR_HEADER_LENGTH)
  header.write(MAGIC, 0, 'latin1')
  header.writeUInt32BE(VERSION, 8)
  header.writeUInt32BE(SIDECAR_RECORD_LENGTH, 12)
  header.writeBigUInt64BE(BigInt(count), 16)
  header.write(packId, 24, 'hex')
  header.writeUInt32BE(crc32(header.subarray(0, 44)), 44)
  return header
}

export function encodeTrailer(header: Uint8Array): Buffer {
  const trailer = Buffer.alloc(SIDECAR_TRAILER_LENGTH)
  trailer.writeUInt32BE(crc32(header), 0)
  trailer.write(END_MAGIC, 4, 'latin1')
  return trailer
}

/**
 * Writes a record to `target` at `offset`. One whose bit positions do not fit 48 bits is written as `none`.
 *
 * @param position of the object in the index, part of the record's checksum
 */
export function encodeRecord(record: SpliceRecord, position: number, target: Buffer, offset: number): void {
  target.fill(0, offset, offset + SIDECAR_RECORD_LENGTH)
  if (record.kind === 'canonical') {
    target[offset] = KIND_CANONICAL
    target.writeUInt32BE(record.crc32, offset + 4)
  } else if (record.kind === 'bits' && plausible(record.finalBit, record.endBit)) {
    target[offset] = KIND_BITS
    target.writeUInt32BE(record.crc32, offset + 4)
    target.writeUIntBE(record.finalBit, offset + 8, 6)
    target.writeUIntBE(record.endBit, offset + 14, 6)
  }
  target.writeUInt32BE(checksum(target, offset, position), offset + 20)
}

/** The record at `offset`, which is that of the object at `position`; `none` when it is damaged. */
export function decodeRecord(source: Buffer, offset: number, position: number): SpliceRecord {
  if (offset + SIDECAR_RECORD_LENGTH > source.length) return NO_RECORD
  if (source.readUInt32BE(offset + 20) !== checksum(source, offset, position)) return NO_RECORD
  if (source.readUIntBE(offset + 1, 3) !== 0) return NO_RECORD
  const crc = source.readUInt32BE(offset + 4)
  const finalBit = source.readUIntBE(offset + 8, 6)
  const endBit = source.readUIntBE(offset + 14, 6)
  switch (source[offset]) {
    case KIND_NONE:
      return NO_RECORD
    case KIND_CANONICAL:
      return finalBit === 0 && endBit === 0 ? { kind: 'canonical', crc32: crc } : NO_RECORD
    case KIND_BITS:
      return plausible(finalBit, endBit) ? { kind: 'bits', crc32: crc, finalBit, endBit } : NO_RECORD
    default:
      return NO_RECORD
  }
}

function plausible(finalBit: number, endBit: number): boolean {
  return finalBit >= 0 && endBit <= MAX_BIT && endBit - finalBit >= SHORTEST_BLOCK_BITS
}

function checksum(bytes: Buffer, offset: number, position: number): number {
  return crc32(bytes.subarray(offset, offset + 20), position >>> 0)
}
