import { constants, crc32, deflateRawSync, deflateSync, type ZlibOptions } from 'node:zlib'
import { adler32 } from '../splice/adler32.ts'

/**
 * The canonical encoding of blobs ("spliceable deflate"): content is cut into chunks of `CHUNK_SIZE`, each deflated
 * with the 32 KiB before it as dictionary and ended by a full flush, so that every chunk ends at a byte boundary with
 * `00 00 ff ff`. A zlib stream is then `78 9c`, the chunks, `03 00` (the empty final block) and the Adler-32; what lies
 * between header and `03 00` can be copied into a gzip member as it is.
 *
 * Chunk borders depend on the content's length alone, so one zlib build gives one encoding.
 */
export const CHUNK_SIZE = 256 * 1024

/** Deflate's window: how much of the preceding content a chunk may refer to. */
export const DICTIONARY_SIZE = 32 * 1024

export const ZLIB_HEADER = Buffer.from([0x78, 0x9c])
export const FINAL_BLOCK = Buffer.from([0x03, 0x00])

/** One deflated chunk and the checksum that the zlib trailer is made from. */
export interface EncodedChunk {
  readonly deflated: Uint8Array
  readonly adler32: number
  readonly crc32: number
}

/** Deflate's matcher needs this much look-ahead beyond the window (MIN_LOOKAHEAD of zlib). */
const LOOKAHEAD = 262

/** Deflates one chunk. `buffer` holds the dictionary directly before the content. */
export function encodeChunk(buffer: Uint8Array, dictionaryLength: number, level: number): EncodedChunk {
  const content = buffer.subarray(dictionaryLength)
  const deflated = deflateRawSync(content, {
    ...zlibOptions(buffer.length, level),
    finishFlush: constants.Z_FULL_FLUSH,
    ...(dictionaryLength > 0 ? { dictionary: buffer.subarray(0, dictionaryLength) } : {}),
  })
  return { deflated, adler32: adler32(content), crc32: crc32(content) }
}

/** A zlib stream of an object that is never spliced: trees and commits. */
export function deflateWhole(data: Uint8Array, level: number): Buffer {
  return deflateSync(data, zlibOptions(data.length, level))
}

/**
 * Small contents get a small window and hash table: zlib allocates and clears both for every stream, which costs more
 * than deflating some hundred bytes. The window always holds the whole content, so no match is lost.
 */
function zlibOptions(length: number, level: number): ZlibOptions {
  const windowBits = Math.min(15, Math.max(9, 32 - Math.clz32(length + LOOKAHEAD)))
  const chunkSize = Math.max(256, length + (length >> 10) + 64)
  return { level, windowBits, memLevel: Math.min(8, Math.max(1, windowBits - 6)), chunkSize }
}
