import { release } from '../../util/release.ts'

/** Bytes of yamux's header, which stands before the data of a stream in the same memory. */
const HEADER_BYTES = 12

/**
 * Gives back the memory of what came on a stream once it was copied: if it lies alone in it. What comes on a connection is decrypted
 * into pieces of up to 64 KiB, and the end of one may be the start of another stream's data. Where nothing follows and no more stands
 * before than a header, all is this stream's: before data there is nothing but its own header, and what of the stream came earlier.
 */
export function releaseAlone(bytes: Uint8Array): void {
  const { buffer, byteOffset, byteLength } = bytes
  if (byteOffset <= HEADER_BYTES && byteOffset + byteLength === buffer.byteLength) release(bytes)
}
