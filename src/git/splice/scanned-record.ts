import type { DeflateScanner } from './deflate-scanner.ts'
import { CANONICAL_TRAILER_LENGTH, type SpliceableRecord, ZLIB_HEADER_LENGTH } from './record.ts'

/**
 * The splice record of a blob whose zlib stream has gone through the scanner to its end.
 *
 * @param end the stream's last `CANONICAL_TRAILER_LENGTH` bytes
 * @param crc32 of the content
 */
export function scannedRecord(scanner: DeflateScanner, end: Uint8Array, crc32: number): SpliceableRecord {
  const { finalBit, endBit, consumed } = scanner
  // The canonical encoding ends with an empty block of two bytes at a byte boundary.
  const lastBlock = 8 * (consumed - ZLIB_HEADER_LENGTH - CANONICAL_TRAILER_LENGTH)
  if (finalBit === lastBlock && end[0] === 0x03 && end[1] === 0x00) return { kind: 'canonical', crc32 }
  return { kind: 'bits', crc32, finalBit, endBit }
}
