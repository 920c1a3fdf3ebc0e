import { PackedRefsError } from './ref-errors.ts'

/**
 * For which refs the file promises that a tag's target is given wherever there is one. What is promised wrongly makes
 * Git serve tags wrongly; what is not promised only makes it look into the objects.
 */
export type PeeledRefs = 'none' | 'tags' | 'all'

/** A `packed-refs` file in canonical form: sorted, every line well-formed but for the digits of its object id. */
export interface ScannedRefs {
  readonly bytes: Buffer
  /** Where the first record begins. */
  readonly start: number
  readonly count: number
  /** How many of them are the narinfo of a package. */
  readonly packageCount: number
  readonly peeled: PeeledRefs
}

/** Bytes before the name in a line: object id and space. */
export const NAME_OFFSET = 41
/** Bytes of a line that gives a tag's target: `^`, object id and newline. */
export const PEELED_LINE_BYTES = 42
export const NEWLINE = 0x0a
export const CARET = 0x5e

const SPACE = 0x20
const HASH_SIGN = 0x23
const HEADER = '# pack-refs with:'
const NARINFO_NAME_BYTES = 'refs/'.length + 32 + '/narinfo'.length
const HASH_BYTES = isNix32Table()

/** The first line that Git writes for a sorted file with these promises, with its newline. */
export function headerLine(peeled: PeeledRefs): string {
  const promises = { none: '', tags: ' peeled', all: ' peeled fully-peeled' }
  return `${HEADER}${promises[peeled]} sorted \n`
}

/**
 * Checks the form and order of the lines of a `packed-refs` file; sorts a file that is not in order.
 *
 * @param source how error messages name the file
 * @throws PackedRefsError for a line that Git does not write, and for a ref that stands there twice
 */
export function scanPackedRefs(bytes: Buffer, source: string): ScannedRefs {
  const { start, peeled } = readHeader(bytes, source)
  let count = 0
  let packageCount = 0
  let sorted = true
  let previousStart = 0
  let previousEnd = 0
  let mayBePeeled = false
  for (let at = start; at < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, at)
    if (end < 0) throw malformed(bytes, at, source, 'the line is cut short')
    if (bytes[at] === CARET) {
      if (!mayBePeeled || end - at !== PEELED_LINE_BYTES - 1) {
        throw malformed(
          bytes,
          at,
          source,
          'a line that begins with "^" must follow a ref and hold one object id',
        )
      }
      mayBePeeled = false
    } else {
      const nameStart = at + NAME_OFFSET
      if (end <= nameStart || bytes[nameStart - 1] !== SPACE) {
        throw malformed(bytes, at, source, 'expected an object id of 40 digits, a space and a ref name')
      }
      if (count > 0) {
        const order = compareBytes(bytes, previousStart, previousEnd, bytes, nameStart, end)
        if (order === 0) throw malformed(bytes, at, source, 'the ref stands here a second time')
        if (order > 0) sorted = false
      }
      if (isNarinfoName(bytes, nameStart, end)) packageCount++
      count++
      previousStart = nameStart
      previousEnd = end
      mayBePeeled = true
    }
    at = end + 1
  }
  if (!sorted) return { ...sortRecords(bytes, start, peeled, source), count, packageCount, peeled }
  return { bytes, start, count, packageCount, peeled }
}

/** Number, from 1, of the line that begins at `offset`. */
export function lineNumber(bytes: Buffer, offset: number): number {
  let line = 1
  for (let at = bytes.indexOf(NEWLINE); at >= 0 && at < offset; at = bytes.indexOf(NEWLINE, at + 1)) line++
  return line
}

/** Compares `a[aStart, aEnd)` with `b[bStart, bEnd)` as unsigned bytes; in order means negative. */
export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  while (aStart < aEnd && bStart < bEnd) {
    const difference = a[aStart++]! - b[bStart++]!
    if (difference !== 0) return difference
  }
  return aEnd - aStart - (bEnd - bStart)
}

/** Whether `bytes[start, end)` is `refs/<hash>/narinfo`. */
export function isNarinfoName(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== NARINFO_NAME_BYTES) return false
  for (let i = 0; i < 5; i++) if (bytes[start + i] !== PREFIX[i]) return false
  for (let i = 1; i <= 8; i++) if (bytes[end - i] !== SUFFIX[8 - i]) return false
  for (let i = start + 5; i < end - 8; i++) if (HASH_BYTES[bytes[i]!] === 0) return false
  return true
}

const PREFIX = Buffer.from('refs/')
const SUFFIX = Buffer.from('/narinfo')

function isNix32Table(): Uint8Array {
  const table = new Uint8Array(256)
  for (const byte of Buffer.from('0123456789abcdfghijklmnpqrsvwxyz')) table[byte] = 1
  return table
}

function readHeader(bytes: Buffer, source: string): { start: number; peeled: PeeledRefs } {
  if (bytes[0] !== HASH_SIGN) return { start: 0, peeled: bytes.length === 0 ? 'all' : 'none' }
  const end = bytes.indexOf(NEWLINE)
  if (end < 0) throw new PackedRefsError(source, 1, 'the line is cut short')
  const line = bytes.toString('latin1', 0, end)
  const traits = line.startsWith(HEADER) ? line.slice(HEADER.length).split(' ') : []
  const peeled = traits.includes('fully-peeled') ? 'all' : traits.includes('peeled') ? 'tags' : 'none'
  return { start: end + 1, peeled }
}

function malformed(bytes: Buffer, offset: number, source: string, reason: string): PackedRefsError {
  return new PackedRefsError(source, lineNumber(bytes, offset), reason)
}

/** Rebuilds a file whose lines are well-formed but not in order. Old versions of Git wrote such files. */
function sortRecords(
  bytes: Buffer,
  start: number,
  peeled: PeeledRefs,
  source: string,
): { bytes: Buffer; start: number } {
  const records: { at: number; nameEnd: number; end: number }[] = []
  for (let at = start; at < bytes.length; ) {
    const nameEnd = bytes.indexOf(NEWLINE, at)
    const end = bytes[nameEnd + 1] === CARET ? nameEnd + 1 + PEELED_LINE_BYTES : nameEnd + 1
    records.push({ at, nameEnd, end })
    at = end
  }
  records.sort((a, b) =>
    compareBytes(bytes, a.at + NAME_OFFSET, a.nameEnd, bytes, b.at + NAME_OFFSET, b.nameEnd),
  )
  const header = Buffer.from(headerLine(peeled))
  const sorted = Buffer.allocUnsafeSlow(header.length + bytes.length - start)
  header.copy(sorted)
  let to = header.length
  for (const [i, record] of records.entries()) {
    const next = records[i + 1]
    const nameStart = record.at + NAME_OFFSET
    if (
      next !== undefined &&
      compareBytes(bytes, nameStart, record.nameEnd, bytes, next.at + NAME_OFFSET, next.nameEnd) === 0
    ) {
      throw malformed(bytes, Math.max(record.at, next.at), source, 'the ref stands here a second time')
    }
    to += bytes.copy(sorted, to, record.at, record.end)
  }
  return { bytes: sorted, start: header.length }
}
