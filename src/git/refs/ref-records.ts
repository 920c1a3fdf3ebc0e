/** Lines of `packed-refs` as they are, for refs of which a `PackageTable` cannot be made. */
import { isOid, type Oid } from '../oid.ts'
import { isNarinfoName } from './package-row.ts'

/** New values by ref name; `undefined` removes the ref. */
export type RefChanges = ReadonlyMap<string, Oid | undefined>

/** Bytes before the name in a line: object id and space. */
export const NAME_OFFSET = 41
/** Bytes of a line that gives a tag's target: `^`, object id and newline. */
export const PEELED_LINE_BYTES = 42
export const NEWLINE = 0x0a
export const CARET = 0x5e

/** Records in a buffer: each a ref's line and, for a tag, the line with its target. In the order of the names. */
export class RefRecords {
  readonly bytes: Buffer
  /** Number of refs. */
  readonly count: number
  /** Number of refs that are the narinfo of a package. */
  readonly packageCount: number

  constructor(bytes: Buffer, count: number, packageCount: number) {
    this.bytes = bytes
    this.count = count
    this.packageCount = packageCount
  }

  /** Where the record with this name begins; -1 when there is none. */
  find(key: Uint8Array): number {
    const at = this.lowerBound(key)
    return this.#isAt(at, key) ? at : -1
  }

  /** What a record has in the place of an id; `undefined` when it is none. */
  oidAt(at: number): Oid | undefined {
    const oid = this.bytes.toString('latin1', at, at + NAME_OFFSET - 1)
    return isOid(oid) ? oid : undefined
  }

  /** The name of a record, as a view. */
  nameAt(at: number): Buffer {
    const start = at + NAME_OFFSET
    return this.bytes.subarray(start, this.bytes.indexOf(NEWLINE, start))
  }

  /** Start of the first record whose name is not below the key. */
  lowerBound(key: Uint8Array, from = 0): number {
    const { bytes } = this
    let low = from
    let high = bytes.length
    while (low < high) {
      const at = this.#start(Math.floor((low + high) / 2), low)
      if (compareName(bytes, at + NAME_OFFSET, key) < 0) low = this.endOf(at)
      else high = at
    }
    return low
  }

  /** Where the record that begins at `at` ends. */
  endOf(at: number): number {
    const end = this.bytes.indexOf(NEWLINE, at + NAME_OFFSET) + 1
    return this.bytes[end] === CARET ? end + PEELED_LINE_BYTES : end
  }

  /** Number of lines before this place. */
  linesBefore(at: number): number {
    let lines = 0
    for (
      let end = this.bytes.indexOf(NEWLINE);
      end >= 0 && end < at;
      end = this.bytes.indexOf(NEWLINE, end + 1)
    )
      lines++
    return lines
  }

  /**
   * These records with changes applied; all others are carried over byte for byte.
   *
   * @param names of the changed refs, in byte order
   * @param newValue new value of a ref; `undefined` removes it
   */
  merge(names: readonly string[], newValue: (name: string) => Oid | undefined): RefRecords {
    const { bytes } = this
    if (names.length === 0) return this
    let room = bytes.length
    for (const name of names) room += NAME_OFFSET + Buffer.byteLength(name) + 1
    const merged = Buffer.allocUnsafeSlow(room)
    let { count, packageCount } = this
    let from = 0
    let to = 0
    for (const name of names) {
      const key = Buffer.from(name)
      const at = this.lowerBound(key, from)
      to += bytes.copy(merged, to, from, at)
      const narinfo = isNarinfoName(key, 0, key.length) ? 1 : 0
      from = at
      if (this.#isAt(at, key)) {
        from = this.endOf(at)
        count--
        packageCount -= narinfo
      }
      const oid = newValue(name)
      if (oid === undefined) continue
      to += merged.write(`${oid} `, to, 'latin1')
      to += key.copy(merged, to)
      merged[to++] = NEWLINE
      count++
      packageCount += narinfo
    }
    to += bytes.copy(merged, to, from)
    return new RefRecords(merged.subarray(0, to), count, packageCount)
  }

  /** Start of the record that holds this offset; `floor` is the start of some record at or before it. */
  #start(offset: number, floor: number): number {
    const { bytes } = this
    let at = offset
    while (at > floor && bytes[at - 1] !== NEWLINE) at--
    if (bytes[at] !== CARET) return at
    at--
    while (at > floor && bytes[at - 1] !== NEWLINE) at--
    return at
  }

  #isAt(at: number, key: Uint8Array): boolean {
    return at < this.bytes.length && compareName(this.bytes, at + NAME_OFFSET, key) === 0
  }
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

/** Compares the name that begins at `at` and ends with its line to a key. */
function compareName(bytes: Uint8Array, at: number, key: Uint8Array): number {
  for (let i = 0; i < key.length; i++) {
    const byte = bytes[at + i]!
    // A newline ends the name, which makes it a prefix of the key and so smaller.
    if (byte === NEWLINE) return -1
    const difference = byte - key[i]!
    if (difference !== 0) return difference
  }
  return bytes[at + key.length] === NEWLINE ? 0 : 1
}
