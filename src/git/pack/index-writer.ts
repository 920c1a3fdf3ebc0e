/** Writing pack indexes, version 2 of Git's `gitformat-pack`. */
import { createHash } from 'node:crypto'
import { endianness } from 'node:os'
import { atOnce } from '../../util/turns.ts'
import { InvalidOidError, isOid, OID_BYTES, type Oid } from '../oid.ts'

/** One object of a pack, as its index names it. */
export interface PackIndexEntry {
  readonly oid: Oid
  /** CRC-32 of the entry as it lies in the pack: header and compressed data. */
  readonly crc32: number
  /** Where the entry begins in the pack. */
  readonly offset: number
}

/** The same facts for many objects in typed arrays: 32 bytes an object. */
export interface PackIndexColumns {
  readonly count: number
  /** `count` binary ids of 20 bytes. */
  readonly oids: Uint8Array
  readonly crc32s: Uint32Array
  readonly offsets: Float64Array
  /** The rows in the order of the index, where that is known. */
  readonly order?: Uint32Array
}

/** Offsets above this one go to the table of 64-bit offsets. */
const LARGEST_SMALL_OFFSET = 0x7fffffff
const SIGNATURE = 0xff744f63
const VERSION = 2
const LARGE_FLAG = 0x80000000
/** Which half of a number of 64 bits lies first in this machine's memory. */
const LOW_HALF = endianness() === 'LE' ? 0 : 1

/** Rows between places where the work may pause. */
const ROWS_A_STEP = 1024
/** Bytes that are hashed between such places. */
const BYTES_A_STEP = 1024 * 1024

/**
 * The bytes of a `.idx` file, in pieces to be written one after the other; the same bytes as `git index-pack` makes.
 * Entries may come in any order; those of one id are put in the order of their offsets.
 *
 * @param packChecksum the 20 bytes with which the pack ends
 * @param largestSmallOffset lower than the default only to get 64-bit offsets for a small pack, as the second number of
 *   `git index-pack --index-version` does
 * @throws InvalidOidError when an id is none
 * @throws RangeError when an offset, a CRC or the checksum is out of range
 */
export function encodePackIndex(
  entries: readonly PackIndexEntry[] | PackIndexColumns,
  packChecksum: Uint8Array,
  largestSmallOffset = LARGEST_SMALL_OFFSET,
): Buffer[] {
  return atOnce(encodingSteps(entries, packChecksum, largestSmallOffset))
}

/** As `encodePackIndex`, in steps. */
export function* encodingSteps(
  entries: readonly PackIndexEntry[] | PackIndexColumns,
  packChecksum: Uint8Array,
  largestSmallOffset = LARGEST_SMALL_OFFSET,
): Generator<void, Buffer[]> {
  if (packChecksum.length !== OID_BYTES) throw new RangeError('a pack checksum has 20 bytes')
  const columns = 'count' in entries ? entries : toColumns(entries)
  const { count, oids, crc32s, offsets } = columns
  if (oids.length < count * OID_BYTES || crc32s.length < count || offsets.length < count) {
    throw new RangeError('index columns are shorter than their count')
  }
  const order = columns.order ?? (yield* sortingSteps(columns))
  const head = Buffer.alloc(8 + 256 * 4)
  head.writeUInt32BE(SIGNATURE, 0)
  head.writeUInt32BE(VERSION, 4)
  const names = Buffer.allocUnsafe(count * OID_BYTES)
  const crcs = Buffer.allocUnsafe(count * 4)
  const small = Buffer.allocUnsafe(count * 4)
  const large: number[] = []
  const fanout = new Uint32Array(256)
  for (let row = 0; row < count; row++) {
    if (row % ROWS_A_STEP === 0) yield
    const entry = order[row]!
    const at = entry * OID_BYTES
    names.set(oids.subarray(at, at + OID_BYTES), row * OID_BYTES)
    fanout[oids[at]!]! += 1
    crcs.writeUInt32BE(crc32s[entry]!, row * 4)
    const offset = offsets[entry]!
    if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError('pack offset out of range')
    const isLarge = offset > LARGEST_SMALL_OFFSET || offset > largestSmallOffset
    small.writeUInt32BE(isLarge ? LARGE_FLAG + large.length : offset, row * 4)
    if (isLarge) large.push(offset)
  }
  for (let byte = 0, total = 0; byte < 256; byte++) {
    total += fanout[byte]!
    head.writeUInt32BE(total, 8 + byte * 4)
  }
  const wide = Buffer.allocUnsafe(large.length * 8)
  for (const [i, offset] of large.entries()) wide.writeBigUInt64BE(BigInt(offset), i * 8)
  const pieces = [head, names, crcs, small, wide, Buffer.from(packChecksum)]
  const checksum = createHash('sha1')
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += BYTES_A_STEP) {
      checksum.update(piece.subarray(at, at + BYTES_A_STEP))
      yield
    }
  }
  return [...pieces, checksum.digest()]
}

function toColumns(entries: readonly PackIndexEntry[]): PackIndexColumns {
  const count = entries.length
  const oids = Buffer.allocUnsafe(count * OID_BYTES)
  const crc32s = new Uint32Array(count)
  const offsets = new Float64Array(count)
  for (const [i, entry] of entries.entries()) {
    if (!isOid(entry.oid)) throw new InvalidOidError(entry.oid)
    oids.write(entry.oid, i * OID_BYTES, 'hex')
    crc32s[i] = entry.crc32
    offsets[i] = entry.offset
  }
  return { count, oids, crc32s, offsets }
}

/** Works out, in steps, the rows in the order of ids, then offsets: the order of an index. */
export function* sortingSteps({ count, oids, offsets }: PackIndexColumns): Generator<void, Uint32Array> {
  const view = new DataView(oids.buffer, oids.byteOffset, oids.byteLength)
  const prefixOf = (entry: number): number => view.getUint32(entry * OID_BYTES)
  const compare = (a: number, b: number): number => {
    const byPrefix = prefixOf(a) - prefixOf(b)
    if (byPrefix !== 0) return byPrefix
    for (let byte = 4; byte < OID_BYTES; byte++) {
      const difference = oids[a * OID_BYTES + byte]! - oids[b * OID_BYTES + byte]!
      if (difference !== 0) return difference
    }
    return offsets[a]! - offsets[b]!
  }
  const order = new Uint32Array(count)
  for (let entry = 0; entry < count; entry++) order[entry] = entry
  // Whoever merges indexes has them in order already; sorting a million again takes the better part of a second.
  if (yield* isSorted(order, compare)) return order
  yield* sortByPrefix(order, prefixOf)
  // Ids that begin alike are few, unless somebody has made them so.
  for (let start = 0, end = 0; start < count; start = end) {
    if (start % ROWS_A_STEP === 0) yield
    for (end = start + 1; end < count && prefixOf(order[end]!) === prefixOf(order[start]!); ) end++
    if (end - start > 1) order.subarray(start, end).sort(compare)
  }
  return order
}

function* isSorted(order: Uint32Array, compare: (a: number, b: number) => number): Generator<void, boolean> {
  for (let i = 1; i < order.length; i++) {
    if (i % ROWS_A_STEP === 0) yield
    if (compare(order[i - 1]!, order[i]!) > 0) return false
  }
  return true
}

/** Sorts by the first four bytes of ids, together with the entry numbers as whole numbers of 64 bits, which is done natively. */
function* sortByPrefix(order: Uint32Array, prefixOf: (entry: number) => number): Generator<void, void> {
  const halves = new Uint32Array(2 * order.length)
  for (const [i, entry] of order.entries()) {
    if (i % ROWS_A_STEP === 0) yield
    halves[2 * i + LOW_HALF] = entry
    halves[2 * i + 1 - LOW_HALF] = prefixOf(entry)
  }
  yield
  new BigUint64Array(halves.buffer).sort()
  yield
  for (let i = 0; i < order.length; i++) order[i] = halves[2 * i + LOW_HALF]!
}
