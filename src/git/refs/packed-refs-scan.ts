import { isNarinfoName, rowRefAt } from './package-row.ts'
import { type PackageTable, PackageTableBuilder } from './package-table.ts'
import { PackedRefsError } from './ref-errors.ts'
import { CARET, compareBytes, NAME_OFFSET, NEWLINE, PEELED_LINE_BYTES, RefRecords } from './ref-records.ts'

/**
 * For which refs the file promises that a tag's target is given wherever there is one. What is promised wrongly makes
 * Git serve tags wrongly; what is not promised only makes it look into the objects.
 */
export type PeeledRefs = 'none' | 'tags' | 'all'

/** A `packed-refs` file: sorted, every line well-formed but for the digits of the object ids in `others`. */
export interface ScannedRefs {
  readonly packages: PackageTable
  readonly others: RefRecords
  /** Lines before the first ref. */
  readonly headerLines: number
  readonly peeled: PeeledRefs
}

const SPACE = 0x20
const HASH_SIGN = 0x23
const HEADER = '# pack-refs with:'
/** Bytes of the lines of one package. */
const PACKAGE_BYTES = 173
/** Room for other lines at first. */
const FIRST_BYTES = 4096

/** The first line that Git writes for a sorted file with these promises, with its newline. */
export function headerLine(peeled: PeeledRefs): string {
  const promises = { none: '', tags: ' peeled', all: ' peeled fully-peeled' }
  return `${HEADER}${promises[peeled]} sorted \n`
}

/**
 * Takes in a `packed-refs` file piece by piece, and checks the form and order of its lines. Each method throws `PackedRefsError` for a line that Git
 * does not write, and for a ref that stands there twice.
 */
export class PackedRefsScanner {
  readonly #source: string
  readonly #packages: PackageTableBuilder
  #others = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #othersLength = 0
  #othersCount = 0
  #othersPackages = 0
  #header: { readonly lines: number; readonly peeled: PeeledRefs } | undefined
  /** Number of the line that comes next. */
  #line = 1
  /** Name of the last ref: `#previous[#previousStart, #previousEnd)`. */
  #previous: Buffer = Buffer.alloc(0)
  #previousStart = 0
  #previousEnd = -1
  #sorted = true

  /**
   * @param source how error messages name the file
   * @param size of the file in bytes, probably
   */
  constructor(source: string, size: number) {
    this.#source = source
    this.#packages = new PackageTableBuilder(Math.ceil(size / PACKAGE_BYTES))
  }

  /**
   * Takes in the next bytes.
   *
   * @param isLast whether the file ends with them
   * @returns how many of them were taken; the others must come again, with more behind them
   */
  add(bytes: Buffer, isLast: boolean): number {
    let at = 0
    if (this.#header === undefined) {
      const hasHeader = bytes[0] === HASH_SIGN
      const end = hasHeader ? bytes.indexOf(NEWLINE) : -1
      if (!isLast && (bytes.length === 0 || (hasHeader && end < 0))) return 0
      this.#header = this.#readHeader(bytes, end)
      this.#line += this.#header.lines
      at = end + 1
    }
    while (at < bytes.length) {
      const next = this.#record(bytes, at, isLast)
      if (next < 0) break
      at = next
    }
    if (this.#previousEnd >= 0) this.#keepPrevious()
    return at
  }

  /** The file, when all of it has been taken in; `undefined` when it is not in order. */
  finish(): ScannedRefs | undefined {
    if (!this.#sorted) return undefined
    const { lines, peeled } = this.#header!
    const others = new RefRecords(
      this.#others.subarray(0, this.#othersLength),
      this.#othersCount,
      this.#othersPackages,
    )
    return { packages: this.#packages.finish(), others, headerLines: lines, peeled }
  }

  #readHeader(bytes: Buffer, end: number): { lines: number; peeled: PeeledRefs } {
    if (bytes[0] !== HASH_SIGN) return { lines: 0, peeled: bytes.length === 0 ? 'all' : 'none' }
    if (end < 0) throw this.#malformed('the line is cut short')
    return { lines: 1, peeled: promises(bytes.toString('latin1', 0, end)) }
  }

  /** Takes in the record at `at`. @returns where it ends; -1 when that is not to be seen yet */
  #record(bytes: Buffer, at: number, isLast: boolean): number {
    const end = bytes.indexOf(NEWLINE, at)
    if (end < 0) {
      if (isLast) throw this.#malformed('the line is cut short')
      return -1
    }
    const name = at + NAME_OFFSET
    if (bytes[at] === CARET) throw this.#malformed(CARET_PROBLEM)
    if (end <= name || bytes[name - 1] !== SPACE) {
      throw this.#malformed('expected an object id of 40 digits, a space and a ref name')
    }
    if (end + 1 === bytes.length && !isLast) return -1
    const isPeeled = bytes[end + 1] === CARET
    const peeledEnd = isPeeled ? bytes.indexOf(NEWLINE, end + 1) : end
    if (peeledEnd < 0 && !isLast) return -1
    this.#checkOrder(bytes, name, end)
    this.#line++
    if (isPeeled) {
      if (peeledEnd < 0) throw this.#malformed('the line is cut short')
      if (peeledEnd - end !== PEELED_LINE_BYTES) throw this.#malformed(CARET_PROBLEM)
      this.#line++
    }
    const ref = isPeeled ? undefined : rowRefAt(bytes, name, end)
    if (ref === undefined || !this.#packages.add(bytes, at, name, ref)) {
      this.#addOther(bytes, at, peeledEnd + 1)
      if (isNarinfoName(bytes, name, end)) this.#othersPackages++
    }
    return peeledEnd + 1
  }

  #checkOrder(bytes: Buffer, start: number, end: number): void {
    if (this.#previousEnd >= 0) {
      const order = compareBytes(this.#previous, this.#previousStart, this.#previousEnd, bytes, start, end)
      if (order === 0) throw this.#malformed(TWICE)
      if (order > 0) this.#sorted = false
    }
    this.#previous = bytes
    this.#previousStart = start
    this.#previousEnd = end
  }

  /** The bytes with the last name may change from now on. */
  #keepPrevious(): void {
    this.#previous = Buffer.from(this.#previous.subarray(this.#previousStart, this.#previousEnd))
    this.#previousStart = 0
    this.#previousEnd = this.#previous.length
  }

  #addOther(bytes: Buffer, start: number, end: number): void {
    const needed = this.#othersLength + end - start
    if (needed > this.#others.length) {
      const larger = Buffer.allocUnsafeSlow(2 * needed)
      this.#others.copy(larger, 0, 0, this.#othersLength)
      this.#others = larger
    }
    bytes.copy(this.#others, this.#othersLength, start, end)
    this.#othersLength = needed
    this.#othersCount++
  }

  #malformed(reason: string): PackedRefsError {
    return new PackedRefsError(this.#source, this.#line, reason)
  }
}

const CARET_PROBLEM = 'a line that begins with "^" must follow a ref and hold one object id'
const TWICE = 'the ref stands here a second time'

/**
 * Takes in a whole file; one that is not in order is sorted.
 *
 * @param source how error messages name the file
 * @throws PackedRefsError
 */
export function scanPackedRefs(bytes: Buffer, source: string): ScannedRefs {
  return scan(bytes, source) ?? scan(sortLines(bytes, source), source)!
}

function scan(bytes: Buffer, source: string): ScannedRefs | undefined {
  const scanner = new PackedRefsScanner(source, bytes.length)
  scanner.add(bytes, true)
  return scanner.finish()
}

/**
 * Puts a file in order whose lines are well-formed. Old versions of Git wrote such files.
 *
 * @returns the file in order, with a header of the same promises
 * @throws PackedRefsError for a ref that stands there twice
 */
function sortLines(bytes: Buffer, source: string): Buffer {
  const start = bytes[0] === HASH_SIGN ? bytes.indexOf(NEWLINE) + 1 : 0
  const peeled = promises(bytes.toString('latin1', 0, Math.max(0, start - 1)))
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
      const second = Math.max(record.at, next.at)
      throw new PackedRefsError(source, 1 + countLines(bytes, second), TWICE)
    }
    to += bytes.copy(sorted, to, record.at, record.end)
  }
  return sorted
}

/** What a header promises. */
function promises(line: string): PeeledRefs {
  const traits = line.startsWith(HEADER) ? line.slice(HEADER.length).split(' ') : []
  return traits.includes('fully-peeled') ? 'all' : traits.includes('peeled') ? 'tags' : 'none'
}

function countLines(bytes: Buffer, end: number): number {
  let lines = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0 && at < end; at = bytes.indexOf(NEWLINE, at + 1)) lines++
  return lines
}
