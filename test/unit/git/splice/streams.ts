import { constants, crc32, deflateSync, type ZlibOptions } from 'node:zlib'
import * as fc from 'fast-check'
import { crc32Combine } from '../../../../src/git/splice/crc32-combine.ts'
import { DeflateScanner } from '../../../../src/git/splice/deflate-scanner.ts'
import { gzipEnd, gzipHeader } from '../../../../src/git/splice/gzip.ts'
import type { SpliceableRecord } from '../../../../src/git/splice/record.ts'
import { applyPatches, type SplicePlan, splicePlan } from '../../../../src/git/splice/splice.ts'
import { storedPieces } from '../../../../src/git/splice/stored.ts'

/** A generator of 32-bit numbers that depends on nothing but the seed. */
export function numbers(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
}

/** Content of a given length, from noise (`variety` 256) to one byte repeated (1), with repeats at all distances. */
export function makeContent(length: number, variety: number, seed: number): Buffer {
  const next = numbers(seed)
  const content = Buffer.alloc(length)
  let at = 0
  while (at < length) {
    const kind = next() % 4
    if (kind === 0 && at > 0) {
      const from = next() % at
      const count = Math.min(length - at, 3 + (next() % 400))
      for (let i = 0; i < count; i++) content[at + i] = content[from + i]!
      at += count
    } else {
      const count = Math.min(length - at, 1 + (next() % 60))
      for (let i = 0; i < count; i++) content[at + i] = (next() % variety) + (kind === 1 ? 0 : next() % 3)
      at += count
    }
  }
  return content
}

export const contents: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.oneof(
      { weight: 3, arbitrary: fc.nat(600) },
      { weight: 2, arbitrary: fc.nat(9000) },
      { weight: 1, arbitrary: fc.nat(140_000) },
    ),
    fc.constantFrom(1, 2, 5, 16, 100, 256),
    fc.integer(),
  )
  .map(([length, variety, seed]) => makeContent(length, variety, seed))

/** All that zlib lets one choose. */
export const deflateOptions: fc.Arbitrary<ZlibOptions> = fc.record({
  level: fc.integer({ min: 0, max: 9 }),
  windowBits: fc.integer({ min: 9, max: 15 }),
  memLevel: fc.integer({ min: 1, max: 9 }),
  strategy: fc.constantFrom(
    constants.Z_DEFAULT_STRATEGY,
    constants.Z_FILTERED,
    constants.Z_HUFFMAN_ONLY,
    constants.Z_RLE,
    constants.Z_FIXED,
  ),
})

/** The encoding that our packs use: chunks that end with a full flush, an empty final block. */
export function canonicalStream(content: Uint8Array, chunkSize = 1 << 20): Buffer {
  const blocks: Buffer[] = [Buffer.from([0x78, 0x9c])]
  for (let at = 0; at < content.length; at += chunkSize) {
    const stream = deflateSync(content.subarray(at, at + chunkSize), { finishFlush: constants.Z_FULL_FLUSH })
    blocks.push(stream.subarray(2))
  }
  const adler = deflateSync(content).subarray(-4)
  return Buffer.concat([...blocks, Buffer.from([0x03, 0x00]), adler])
}

/** Record of a stream as a scan finds it. */
export function scanned(stream: Uint8Array, content: Uint8Array): SpliceableRecord {
  const scanner = new DeflateScanner()
  scanner.push(stream)
  scanner.finish()
  return { kind: 'bits', crc32: crc32(content), finalBit: scanner.finalBit, endBit: scanner.endBit }
}

/** Bytes `[start, end)` of a spliced blob, reading no more of the stream than they need. */
export function splicedRange(plan: SplicePlan, stream: Uint8Array, start: number, end: number): Buffer {
  const bodyStart = Math.min(start, plan.bodyLength)
  const bodyEnd = Math.min(end, plan.bodyLength)
  const body = Buffer.from(stream.subarray(plan.from + bodyStart, plan.from + bodyEnd))
  applyPatches(plan, body, bodyStart)
  const tail = plan.tail.subarray(Math.max(0, start - plan.bodyLength), Math.max(0, end - plan.bodyLength))
  return Buffer.concat([body, tail])
}

export function storedBlocks(content: Uint8Array): Buffer {
  const pieces: Uint8Array[] = []
  for (const piece of storedPieces(content.length)) {
    pieces.push(piece.kind === 'header' ? piece.bytes : content.subarray(piece.from, piece.to))
  }
  return Buffer.concat(pieces)
}

/** A blob as it lies in a pack. */
export interface Blob {
  readonly content: Uint8Array
  readonly stream: Uint8Array
  readonly record: SpliceableRecord
}

/** One gzip member of all blobs, each with stored framing before it, and what it must unpack to. */
export function gzipMember(blobs: readonly Blob[], framing: Uint8Array): { member: Buffer; content: Buffer } {
  const member: Uint8Array[] = [gzipHeader()]
  const content: Uint8Array[] = []
  let crc = 0
  let size = 0
  for (const blob of blobs) {
    const plan = splicePlan(blob.record, blob.stream.length)
    member.push(storedBlocks(framing), splicedRange(plan, blob.stream, 0, plan.length))
    content.push(framing, blob.content)
    crc = crc32Combine(
      crc32Combine(crc, crc32(framing), framing.length),
      blob.record.crc32,
      blob.content.length,
    )
    size += framing.length + blob.content.length
  }
  member.push(gzipEnd(crc, size))
  return { member: Buffer.concat(member), content: Buffer.concat(content) }
}
