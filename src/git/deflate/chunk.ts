import { promisify } from 'node:util'
import { deflate, deflateSync, type ZlibOptions } from 'node:zlib'

/**
 * The canonical encoding of blobs ("spliceable deflate"): content is cut into chunks of `CHUNK_SIZE`, each deflated on its
 * own into blocks of which none is final, and ended by an empty stored block as a full flush would, so that every chunk
 * ends at a byte boundary with `00 00 ff ff`. A zlib stream is then `78 9c`, the chunks, `03 00` (the empty final block)
 * and the Adler-32; what lies between header and `03 00` can be copied into a gzip member as it is.
 *
 * Chunk borders depend on the content's length alone and the encoder is ours (`chunk-deflater.ts`), so a level has one
 * encoding, whatever zlib Node has.
 */
export const CHUNK_SIZE = 256 * 1024

export const ZLIB_HEADER = Buffer.from([0x78, 0x9c])
export const FINAL_BLOCK = Buffer.from([0x03, 0x00])

/** One deflated chunk and the checksums of its content. */
export interface EncodedChunk {
  readonly deflated: Uint8Array
  readonly adler32: number
  readonly crc32: number
}

/** Deflate's matcher needs this much look-ahead beyond the window (MIN_LOOKAHEAD of zlib). */
const LOOKAHEAD = 262

/** From this size on another thread deflates an object: what takes milliseconds would hold up requests. */
const LARGE_OBJECT = 32 * 1024

/** A zlib stream of an object that is never spliced: trees and commits. */
export function deflateWhole(data: Uint8Array, level: number): Buffer | Promise<Buffer> {
  const options = zlibOptions(data.length, level)
  return data.length < LARGE_OBJECT ? deflateSync(data, options) : deflateElsewhere(data, options)
}

const deflateElsewhere = promisify<Uint8Array, ZlibOptions, Buffer>(deflate)

/**
 * Small contents get a small window and hash table: zlib allocates and clears both for every stream, which costs more
 * than deflating some hundred bytes. The window always holds the whole content, so no match is lost.
 */
function zlibOptions(length: number, level: number): ZlibOptions {
  const windowBits = Math.min(15, Math.max(9, 32 - Math.clz32(length + LOOKAHEAD)))
  const chunkSize = Math.max(256, length + (length >> 10) + 64)
  return { level, windowBits, memLevel: Math.min(8, Math.max(1, windowBits - 6)), chunkSize }
}
