/** The parts of a gzip member (RFC 1952) that is put together from deflate blocks. Deterministic: no name, no time. */

const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)

/** Length of {@link gzipHeader}. */
export const GZIP_HEADER_LENGTH = HEADER.length
/** Length of {@link gzipEnd}: the last deflate block, CRC-32 and size. */
export const GZIP_END_LENGTH = 10

/** Header without name and time; XFL 0, operating system 255 (unknown). */
export function gzipHeader(): Buffer {
  return Buffer.from(HEADER)
}

/**
 * What ends the member: an empty final block (type 1) at a byte boundary, then the trailer.
 *
 * @param crc32 of the whole content, unsigned
 * @param size of the whole content in bytes; the trailer has it modulo 2^32
 */
export function gzipEnd(crc32: number, size: number): Buffer {
  const end = Buffer.alloc(GZIP_END_LENGTH)
  end[0] = 0x03
  end.writeUInt32LE(crc32, 2)
  end.writeUInt32LE(size % 0x1_0000_0000, 6)
  return end
}
