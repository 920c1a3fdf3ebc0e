import type { ByteRange } from '../store/api.ts'

/** What a `Range` header asks of a body: all of it, one part, or nothing that exists. */
export type RangeRequest = 'whole' | 'unsatisfiable' | ByteRange

/**
 * Reads a `Range` header (RFC 9110, section 14.2) against a body of `size` bytes. Only one range in bytes is honoured;
 * several ranges, another unit or bad syntax mean the whole body, as the RFC allows.
 */
export function parseRange(header: string | undefined, size: number): RangeRequest {
  if (header === undefined) return 'whole'
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header)
  if (match === null) return 'whole'
  const [, first = '', last = ''] = match
  if (first === '') return last === '' ? 'whole' : suffix(Number(last), size)
  const start = Number(first)
  const end = last === '' ? size : Math.min(Number(last) + 1, size)
  if (last !== '' && Number(last) < start) return 'whole'
  return start >= size ? 'unsatisfiable' : { start, end }
}

function suffix(length: number, size: number): RangeRequest {
  if (length === 0 || size === 0) return 'unsatisfiable'
  return { start: Math.max(0, size - length), end: size }
}

/** `Content-Range` of a 206 answer. */
export function contentRange(range: ByteRange, size: number): string {
  return `bytes ${range.start}-${range.end - 1}/${size}`
}
