/**
 * The bytes of a plan that is kept in a file. Numbers are as this machine has them in memory, so that reading is no work; a file of a machine of the
 * other kind is not taken.
 *
 * - header, 144 bytes: magic `gachixpl`, 0x01020304 (4 bytes), format version (4), number of files n (4), number of starts s (4), length f of the
 *   framing (8, like all lengths a double), NAR size (8), gzip size (8), CRC-32 of the NAR (4), whether there are bits (4), digest of the
 *   packs (20), tree (20), gzip id (16), zero up to 144
 * - doubles: sizes (n), deflated lengths (n), start offsets (s), bits (2n or none)
 * - 4 bytes each: ends of the framing (n + 1), starts (s), CRC-32 of the entries (n)
 * - ids (20n), kinds (n), framing (f), CRC-32 of everything before (4)
 */
import { crc32 } from 'node:zlib'
import { OID_BYTES, type Oid } from '../git/oid.ts'
import { NarPlan } from './plan.ts'

/** Bytes of the digest that says of which packs a plan was made. */
export const PACKS_DIGEST_BYTES = 20

const MAGIC = 'gachixpl'
const BYTE_ORDER = 0x01020304
const VERSION = 1
const HEADER_BYTES = 144
const CRC_BYTES = 4
const DOUBLE = 8
const WORD = 4

interface Shape {
  readonly count: number
  readonly starts: number
  readonly framing: number
  readonly hasBits: boolean
}

/** A plan that was kept, and the packs that it was made of. */
export interface KeptPlan {
  readonly plan: NarPlan
  readonly packs: Buffer
}

/**
 * The bytes of a plan in which every blob is spliced, in pieces.
 *
 * @param packs digest of the packs that it was made of
 */
export function encodePlan(plan: NarPlan, packs: Uint8Array): Uint8Array[] {
  const { parts } = plan
  const header = Buffer.alloc(HEADER_BYTES)
  const words = new Uint32Array(header.buffer, header.byteOffset, HEADER_BYTES / WORD)
  const doubles = new Float64Array(header.buffer, header.byteOffset, HEADER_BYTES / DOUBLE)
  header.write(MAGIC, 'latin1')
  words.set([BYTE_ORDER, VERSION, plan.count, parts.starts.length], 2)
  doubles.set([parts.framing.bytes.length, parts.narSize, parts.gzipSize], 3)
  words.set([parts.crc32 ?? 0, parts.bits === undefined ? 0 : 1], 12)
  header.set(packs, 56)
  header.write(parts.tree, 76, 'hex')
  header.write(parts.gzipId, 96, 'hex')
  const pieces = [
    header,
    ...[parts.sizes, parts.deflatedLengths, parts.startOffsets, parts.bits ?? new Float64Array()].map(
      bytesOf,
    ),
    ...[parts.framing.ends, parts.starts, parts.entryCrcs].map(bytesOf),
    ...[parts.oids, parts.kinds, parts.framing.bytes],
  ]
  const end = Buffer.alloc(CRC_BYTES)
  end.writeUInt32BE(pieces.reduce((crc, piece) => crc32(piece, crc), 0))
  return [...pieces, end]
}

/**
 * The plan in a file; `undefined` when it is damaged or of another tree.
 *
 * @param bytes at the beginning of their memory; kept, not copied
 */
export function decodePlan(bytes: Buffer, tree: Oid): KeptPlan | undefined {
  if (bytes.length < HEADER_BYTES + CRC_BYTES || bytes.byteOffset % DOUBLE !== 0) return undefined
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, HEADER_BYTES / WORD)
  const doubles = new Float64Array(bytes.buffer, bytes.byteOffset, HEADER_BYTES / DOUBLE)
  if (words[2] !== BYTE_ORDER || words[3] !== VERSION) return undefined
  if (bytes.toString('hex', 76, 76 + OID_BYTES) !== tree) return undefined
  const shape = { count: words[4]!, starts: words[5]!, framing: doubles[3]!, hasBits: words[13] === 1 }
  if (lengthOf(shape) !== bytes.length) return undefined
  const end = bytes.length - CRC_BYTES
  if (bytes.readUInt32BE(end) !== crc32(bytes.subarray(0, end))) return undefined
  const { count, starts, framing, hasBits } = shape
  let at = bytes.byteOffset + HEADER_BYTES
  const take = (length: number): number => {
    at += length
    return at - length
  }
  const { buffer } = bytes
  const asDoubles = (length: number) => new Float64Array(buffer, take(length * DOUBLE), length)
  const asWords = (length: number) => new Uint32Array(buffer, take(length * WORD), length)
  const asBytes = (length: number) => Buffer.from(buffer, take(length), length)
  const sizes = asDoubles(count)
  const deflatedLengths = asDoubles(count)
  const startOffsets = asDoubles(starts)
  const bits = hasBits ? asDoubles(2 * count) : undefined
  const ends = asWords(count + 1)
  const startFiles = asWords(starts)
  const entryCrcs = asWords(count)
  const oids = asBytes(count * OID_BYTES)
  const kinds = new Uint8Array(buffer, take(count), count)
  const plan = new NarPlan({
    ...{ tree, sizes, deflatedLengths, startOffsets, bits, starts: startFiles, entryCrcs, oids, kinds },
    framing: { bytes: asBytes(framing), ends },
    narSize: doubles[4]!,
    gzipSize: doubles[5]!,
    crc32: words[12]!,
    gzipId: bytes.toString('hex', 96, 112),
  })
  return { plan, packs: bytes.subarray(56, 56 + PACKS_DIGEST_BYTES) }
}

function lengthOf({ count, starts, framing, hasBits }: Shape): number {
  const doubles = 2 * count + starts + (hasBits ? 2 * count : 0)
  const words = count + 1 + starts + count
  return HEADER_BYTES + DOUBLE * doubles + WORD * words + (OID_BYTES + 1) * count + framing + CRC_BYTES
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array | Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
