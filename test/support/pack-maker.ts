/** Packs put together entry by entry, also such as no `git` would make. */
import { hash } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import type { GitObjectType, Oid } from '../../src/git/oid.ts'
import { encodeEntryHeader, encodeOfsDistance, encodePackHeader } from '../../src/git/pack/format.ts'

/** The bytes of an entry at this offset, after entries that begin at the given ones. */
export type Entry = (at: number, offsets: readonly number[]) => Buffer

/** @param declared the size that the header names instead of the true one */
export function whole(type: GitObjectType, content: Uint8Array, declared = content.length): Entry {
  return () => Buffer.concat([encodeEntryHeader(type, declared), deflateSync(content)])
}

/** A delta on the entry of this number. */
export function ofsDelta(base: number, instructions: Buffer): Entry {
  return (at, offsets) =>
    Buffer.concat([
      encodeEntryHeader('ofs-delta', instructions.length),
      encodeOfsDistance(at - offsets[base]!),
      deflateSync(instructions),
    ])
}

export function refDelta(base: Oid, instructions: Buffer): Entry {
  return () =>
    Buffer.concat([
      encodeEntryHeader('ref-delta', instructions.length),
      Buffer.from(base, 'hex'),
      deflateSync(instructions),
    ])
}

/** Copies stretches of the base, with a few bytes of its own before them. */
export function copyDelta(baseSize: number, resultSize: number): Buffer {
  const bytes = [...varint(baseSize), ...varint(resultSize), 4, 0x6e, 0x65, 0x77, 0x0a]
  for (let left = resultSize - 4; left > 0; ) {
    const size = Math.min(left, baseSize, 0xffff)
    bytes.push(0xb0, size & 0xff, size >> 8)
    left -= size
  }
  return Buffer.from(bytes)
}

export function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))]
}

/** @param count the number of objects that the header names instead of the true one */
export function packOf(entries: readonly Entry[], count = entries.length): Buffer {
  const parts = [encodePackHeader(count)]
  const offsets: number[] = []
  let at = 12
  for (const entry of entries) {
    const bytes = entry(at, offsets)
    offsets.push(at)
    parts.push(bytes)
    at += bytes.length
  }
  const body = Buffer.concat(parts)
  return Buffer.concat([body, hash('sha1', body, 'buffer')])
}
