/** Finding out, while an entry is inflated, whether its stream is in the canonical encoding (`deflate/chunk.ts`). */
import { randomBytes } from 'node:crypto'
import { FINAL_BLOCK } from '../deflate/chunk.ts'
import { adler32, adler32Combine, isAdler32 } from '../splice/adler32.ts'

/** How every canonical stream ends, before its Adler-32: a full flush, then the empty final block. */
export const CANONICAL_END = Buffer.concat([Buffer.from([0, 0, 0xff, 0xff]), FINAL_BLOCK])
/** Bytes of it that belong to the flush. */
export const FLUSH_LENGTH = 4
/** Bytes of a zlib stream's checksum. */
export const ADLER_LENGTH = 4

const NONCE = randomBytes(16)
const NONCE_ADLER = adler32(NONCE)
/** Bytes of content that a probe makes. */
export const NONCE_LENGTH = NONCE.length
/** A final stored block of unpredictable bytes. */
const PROBE_BLOCK = Buffer.concat([Buffer.from([1, NONCE.length, 0, ~NONCE.length & 0xff, 0xff]), NONCE])
/** Length of a probe. */
export const PROBE_LENGTH = PROBE_BLOCK.length + ADLER_LENGTH

/**
 * Writes what is put in the place of a canonical stream's end. Only a decoder that is at a byte boundary between two blocks makes
 * exactly the nonce of it and ends behind it, so that this proves what splicing relies on. (Inside a stored block the content
 * would be longer, inside any other it would not be the nonce.)
 *
 * zlib compares the checksum of content and nonce: it is right when the stream's own is.
 *
 * @param ownAdler the checksum with which the stream ends
 * @returns whether some content can have that checksum; else nothing is written
 */
export function writeProbe(target: Buffer, at: number, ownAdler: number): boolean {
  if (!isAdler32(ownAdler)) return false
  PROBE_BLOCK.copy(target, at)
  target.writeUInt32BE(adler32Combine(ownAdler, NONCE_ADLER, NONCE.length), at + PROBE_BLOCK.length)
  return true
}

/** Whether that is what a probe makes of a decoder that is where it should be. */
export function isNonce(content: Buffer): boolean {
  return content.equals(NONCE)
}
