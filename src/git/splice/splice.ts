/**
 * Putting a blob's deflate blocks into a longer deflate stream without inflating them.
 *
 * A spliced blob begins and ends at a byte boundary and has no final block. It is a stretch of the zlib stream in which at
 * most two bytes are changed, followed by at most five constant bytes; so any part of it can be made from the same part
 * of the pack.
 */
import {
  CANONICAL_HEADER_LENGTH,
  CANONICAL_TRAILER_LENGTH,
  recordFits,
  type SpliceShape,
  ZLIB_HEADER_LENGTH,
} from './record.ts'

/** One byte of a spliced blob that differs from the pack: it is to be ANDed with `mask`. */
export interface SplicePatch {
  /** Offset in the spliced blob. */
  readonly at: number
  readonly mask: number
}

/**
 * How a spliced blob comes about: bytes `[from, from + bodyLength)` of its zlib stream with `patches` applied, then `tail`.
 * Byte `i` of the body is byte `from + i` of the zlib stream.
 */
export interface SplicePlan {
  /** Length of the whole in bytes. */
  readonly length: number
  /** Offset of the body in the zlib stream. */
  readonly from: number
  readonly bodyLength: number
  /** None to two, in order of `at`, all within the body. */
  readonly patches: readonly SplicePatch[]
  /** Shared, not to be written to. */
  readonly tail: Buffer
}

const NO_PATCHES: readonly SplicePatch[] = []
const NO_TAIL = Buffer.alloc(0)
/** Lengths of an empty stored block whose three header bits are in the byte before. */
const EMPTY_BLOCK = Buffer.of(0x00, 0x00, 0xff, 0xff)
/** The same where that byte has no room for them. */
const EMPTY_BLOCK_AFTER_BYTE = Buffer.of(0x00, 0x00, 0x00, 0xff, 0xff)

/** Bits of a stored block's header: BFINAL and the type, all 0. */
const BLOCK_HEADER_BITS = 3

/**
 * Of a `bits` record the body is the deflate blocks with the last one's BFINAL cleared, cut at its end; an empty stored block
 * follows, which brings the stream to a byte boundary. A canonical stream is there already.
 *
 * @param record of the blob
 * @param zlibLength length of its zlib stream in bytes, header and Adler-32 included
 * @throws RangeError when the record cannot be of a stream of this length (see `recordFits`)
 */
export function splicePlan(record: SpliceShape, zlibLength: number): SplicePlan {
  assertFits(record, zlibLength)
  if (record.kind === 'canonical') {
    const length = zlibLength - CANONICAL_HEADER_LENGTH - CANONICAL_TRAILER_LENGTH
    return { length, from: CANONICAL_HEADER_LENGTH, bodyLength: length, patches: NO_PATCHES, tail: NO_TAIL }
  }

  const bodyLength = Math.ceil(record.endBit / 8)
  const endBits = record.endBit % 8
  const tail = emptyBlockAfter(endBits)
  const finalAt = Math.floor(record.finalBit / 8)
  const patches: SplicePatch[] = [{ at: finalAt, mask: 0xff & ~(1 << (record.finalBit % 8)) }]
  // the bits behind the end become the header of the empty block; a last block is longer than a byte, so this is another
  if (endBits > 0) patches.push({ at: bodyLength - 1, mask: (1 << endBits) - 1 })
  return { length: bodyLength + tail.length, from: ZLIB_HEADER_LENGTH, bodyLength, patches, tail }
}

/** Bytes that a blob takes once spliced: the length of its plan. Arguments and errors as {@link splicePlan}. */
export function splicedLength(record: SpliceShape, zlibLength: number): number {
  assertFits(record, zlibLength)
  if (record.kind === 'canonical') return zlibLength - CANONICAL_HEADER_LENGTH - CANONICAL_TRAILER_LENGTH
  return Math.ceil(record.endBit / 8) + emptyBlockAfter(record.endBit % 8).length
}

function assertFits(record: SpliceShape, zlibLength: number): void {
  if (recordFits(record, zlibLength)) return
  throw new RangeError(
    `a splice record of kind ${record.kind} does not fit a zlib stream of ${zlibLength} bytes`,
  )
}

function emptyBlockAfter(bits: number): Buffer {
  return bits > 0 && bits + BLOCK_HEADER_BITS <= 8 ? EMPTY_BLOCK : EMPTY_BLOCK_AFTER_BYTE
}

/**
 * Turns bytes of the zlib stream into bytes of the spliced blob, in place.
 *
 * @param chunk bytes `[plan.from + at, plan.from + at + chunk.length)` of the zlib stream, within the body; the caller's own,
 *   not a view of a cache that is read again
 * @param at offset of the chunk in the body
 */
export function applyPatches(plan: SplicePlan, chunk: Uint8Array, at: number): void {
  for (const patch of plan.patches) {
    const index = patch.at - at
    if (index >= 0 && index < chunk.length) chunk[index]! &= patch.mask
  }
}
