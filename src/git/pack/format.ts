/**
 * The pack file format, version 2 (Git's `gitformat-pack`): header, entry headers, trailer. Pure functions on buffers.
 */
import { CorruptPackError } from '../object-errors.ts'
import { type GitObjectType, OID_BYTES, type Oid, oidFromBytes } from '../oid.ts'

/** `PACK`, version and number of objects: 12 bytes. */
export const PACK_HEADER_BYTES = 12
/** The SHA-1 of all that precedes it: 20 bytes. */
export const PACK_TRAILER_BYTES = 20
/** The most bytes that an entry header can take: type and size, then the base's id or distance. */
export const MAX_ENTRY_HEADER_BYTES = 32

const SIGNATURE = 0x5041434b
const VERSION = 2
const OFS_DELTA = 6
const REF_DELTA = 7
/** Entry type numbers; 0 and 5 are not used. */
const TYPES: readonly (PackEntryType | undefined)[] = [
  undefined,
  'commit',
  'tree',
  'blob',
  'tag',
  undefined,
  'ofs-delta',
  'ref-delta',
]

/** What an entry holds: an object as it is, or a delta to a base in the same pack. */
export type PackEntryType = GitObjectType | 'ofs-delta' | 'ref-delta'

/** The decoded header of a pack entry. */
export interface EntryHeader {
  readonly type: PackEntryType
  /** Length of the inflated data: the object's, or the delta's where the entry is one. */
  readonly size: number
  /** Length of this header in bytes. */
  readonly headerLength: number
  /** The base of a delta: its offset in the pack for `ofs-delta`, its id for `ref-delta`. */
  readonly base?: number | Oid
}

/** The 12 bytes with which a pack of `count` objects begins. */
export function encodePackHeader(count: number): Buffer {
  if (!Number.isInteger(count) || count < 0 || count > 0xffffffff)
    throw new RangeError('object count out of range')
  const header = Buffer.alloc(PACK_HEADER_BYTES)
  header.writeUInt32BE(SIGNATURE, 0)
  header.writeUInt32BE(VERSION, 4)
  header.writeUInt32BE(count, 8)
  return header
}

/**
 * Reads a pack header and returns the number of objects. Version 3 differs from 2 in nothing that matters here and is
 * taken as git takes it.
 *
 * @throws CorruptPackError naming `path`
 */
export function decodePackHeader(header: Uint8Array, path = 'pack'): number {
  if (header.length < PACK_HEADER_BYTES) throw new CorruptPackError(`${path} is too short to be a pack`)
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  if (view.getUint32(0) !== SIGNATURE) throw new CorruptPackError(`${path} is not a pack`)
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3)
    throw new CorruptPackError(`${path} has the unknown pack version ${version}`)
  return view.getUint32(8)
}

/** Whether an entry of this type is a delta. */
export function isDelta(type: PackEntryType): type is 'ofs-delta' | 'ref-delta' {
  return type === 'ofs-delta' || type === 'ref-delta'
}

/**
 * The header of an entry of `size` inflated bytes: one type and size varint. A delta's header goes on with
 * `encodeOfsDistance` or with the 20 bytes of the base's id.
 */
export function encodeEntryHeader(type: PackEntryType, size: number): Buffer {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError('entry size out of range')
  const bytes: number[] = []
  let rest = Math.floor(size / 16)
  let current = (TYPES.indexOf(type) << 4) | (size % 16)
  while (rest > 0) {
    bytes.push(current | 0x80)
    current = rest % 128
    rest = Math.floor(rest / 128)
  }
  bytes.push(current)
  return Buffer.from(bytes)
}

/** The varint after the header of an `ofs-delta`: how many bytes before this entry the base's entry begins. */
export function encodeOfsDistance(distance: number): Buffer {
  if (!Number.isSafeInteger(distance) || distance <= 0) throw new RangeError('base distance out of range')
  const bytes = [distance % 128]
  let rest = Math.floor(distance / 128)
  while (rest > 0) {
    rest -= 1
    bytes.unshift(0x80 | (rest % 128))
    rest = Math.floor(rest / 128)
  }
  return Buffer.from(bytes)
}

/**
 * Decodes the entry header at `at` in `buffer`; `entryOffset` is the entry's place in the pack, to which the base of
 * an `ofs-delta` is relative. Nothing after the end of `buffer` is touched.
 *
 * @throws CorruptPackError when the header is cut off, has an unknown type, or numbers beyond 2^53 - 1 or before the
 *   first entry
 */
export function decodeEntryHeader(buffer: Uint8Array, at: number, entryOffset: number): EntryHeader {
  let position = at
  const next = (): number => {
    const byte = buffer[position++]
    if (byte === undefined) throw new CorruptPackError(`entry header at offset ${entryOffset} is cut off`)
    return byte
  }
  let byte = next()
  const number = (byte >> 4) & 7
  const type = TYPES[number]
  if (type === undefined)
    throw new CorruptPackError(`entry at offset ${entryOffset} has the unknown type ${number}`)
  let size = byte & 15
  for (let factor = 16; byte & 0x80; factor *= 128) {
    byte = next()
    size += (byte & 0x7f) * factor
    if (!Number.isSafeInteger(size) || factor > Number.MAX_SAFE_INTEGER) {
      throw new CorruptPackError(`entry at offset ${entryOffset} declares an impossible size`)
    }
  }
  if (number === OFS_DELTA) {
    byte = next()
    let distance = byte & 0x7f
    while (byte & 0x80) {
      byte = next()
      distance = (distance + 1) * 128 + (byte & 0x7f)
      if (!Number.isSafeInteger(distance)) break
    }
    const base = entryOffset - distance
    if (distance === 0 || !Number.isSafeInteger(distance) || base < PACK_HEADER_BYTES) {
      throw new CorruptPackError(`delta at offset ${entryOffset} has its base outside of the pack`)
    }
    return { type, size, headerLength: position - at, base }
  }
  if (number === REF_DELTA) {
    if (position + OID_BYTES > buffer.length) {
      throw new CorruptPackError(`entry header at offset ${entryOffset} is cut off`)
    }
    return { type, size, headerLength: position + OID_BYTES - at, base: oidFromBytes(buffer, position) }
  }
  return { type, size, headerLength: position - at }
}
