/** Content as deflate blocks of type 0 (RFC 1951, 3.2.4), none of them final, beginning and ending at byte boundaries. */

/** Most content that one stored block holds. */
export const MAX_STORED = 65535
/** Header of a stored block that begins at a byte boundary: 3 bits and padding, length, its complement. */
export const STORED_HEADER_LENGTH = 5

const WHOLE_BLOCK = STORED_HEADER_LENGTH + MAX_STORED

/** Bytes that `length` bytes of content take as stored blocks; 0 for none. */
export function storedLength(length: number): number {
  return length + Math.ceil(length / MAX_STORED) * STORED_HEADER_LENGTH
}

/** The header of one stored block of 0 to 65,535 bytes. */
export function storedHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(STORED_HEADER_LENGTH)
  header[0] = 0
  header.writeUInt16LE(length, 1)
  header.writeUInt16LE(length ^ MAX_STORED, 3)
  return header
}

/** A piece of stored blocks: bytes that are given, or bytes `[from, to)` of the content. */
export type StoredPiece =
  | { readonly kind: 'header'; readonly bytes: Uint8Array }
  | { readonly kind: 'content'; readonly from: number; readonly to: number }

/**
 * What bytes `[start, end)` of the stored form of `length` bytes of content consist of. Every block but the last is full.
 *
 * @param start from 0
 * @param end up to `storedLength(length)`
 */
export function* storedPieces(length: number, start = 0, end = storedLength(length)): Generator<StoredPiece> {
  let at = start
  while (at < end) {
    const block = Math.floor(at / WHOLE_BLOCK)
    const within = at - block * WHOLE_BLOCK
    const contentStart = block * MAX_STORED
    const blockLength = Math.min(MAX_STORED, length - contentStart)
    if (within < STORED_HEADER_LENGTH) {
      const count = Math.min(STORED_HEADER_LENGTH - within, end - at)
      yield { kind: 'header', bytes: storedHeader(blockLength).subarray(within, within + count) }
      at += count
      continue
    }
    const from = contentStart + within - STORED_HEADER_LENGTH
    const count = Math.min(contentStart + blockLength - from, end - at)
    yield { kind: 'content', from, to: from + count }
    at += count
  }
}

/** All of some content as stored blocks. */
export function storedBlocks(content: Uint8Array): Buffer {
  const blocks = Buffer.allocUnsafe(storedLength(content.length))
  let at = 0
  for (const piece of storedPieces(content.length)) {
    const bytes = piece.kind === 'header' ? piece.bytes : content.subarray(piece.from, piece.to)
    blocks.set(bytes, at)
    at += bytes.length
  }
  return blocks
}
