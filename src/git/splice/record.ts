/**
 * What has to be known of a blob's zlib stream in a pack to put its deflate blocks into a longer deflate stream.
 *
 * - `canonical`: the stream is one of our own making: `78 9c`, deflate blocks of which none is final and after which the
 *   stream is at a byte boundary (every chunk of content ends with a full flush), `03 00`, Adler-32. All but the first 2 and
 *   the last 6 bytes can be copied as it is.
 * - `bits`: any other stream; `finalBit` and `endBit` as `DeflateScanner` tells them.
 * - `none`: nothing is known, or the object is not a whole blob (a delta, another type). It has to be inflated.
 *
 * `crc32` is that of the content.
 */
export type SpliceRecord =
  | { readonly kind: 'canonical'; readonly crc32: number }
  | { readonly kind: 'bits'; readonly crc32: number; readonly finalBit: number; readonly endBit: number }
  | { readonly kind: 'none' }

/** A record that allows splicing. */
export type SpliceableRecord = Exclude<SpliceRecord, { kind: 'none' }>

/** What a record says of the stream, without the content's CRC-32. */
export type SpliceShape =
  | { readonly kind: 'canonical' }
  | { readonly kind: 'bits'; readonly finalBit: number; readonly endBit: number }

/** The record of an object that cannot be spliced. */
export const NO_RECORD: SpliceRecord = Object.freeze({ kind: 'none' })

/** Bytes around the deflate blocks that are copied from a canonical stream. */
export const CANONICAL_HEADER_LENGTH = 2
export const CANONICAL_TRAILER_LENGTH = 6

/** Bytes of zlib around any deflate stream: CMF and FLG, Adler-32. */
export const ZLIB_HEADER_LENGTH = 2
export const ZLIB_TRAILER_LENGTH = 4

/** The shortest last block is an empty one of type 1: 3 bits of header, 7 bits for its end. */
export const SHORTEST_BLOCK_BITS = 10

/**
 * Whether a record can belong to a zlib stream of this length. It does not prove that it does, but a record that belongs
 * elsewhere rarely passes.
 */
export function recordFits(record: SpliceShape, zlibLength: number): boolean {
  if (record.kind === 'canonical') return zlibLength >= CANONICAL_HEADER_LENGTH + CANONICAL_TRAILER_LENGTH
  return (
    record.finalBit >= 0 &&
    record.endBit - record.finalBit >= SHORTEST_BLOCK_BITS &&
    ZLIB_HEADER_LENGTH + Math.ceil(record.endBit / 8) + ZLIB_TRAILER_LENGTH === zlibLength
  )
}
