import { OID_BYTES, type Oid } from '../oid.ts'
import { PACKAGE_HASH_LENGTH, PACKAGE_REFS_PREFIX, type PackageRefs } from './package-refs.ts'
import {
  hasRef,
  idAt,
  idIn,
  KEY_BYTES,
  keyAt,
  LONGEST_NAME,
  oidIn,
  ROW_BYTES,
  type RowRef,
  rowRefOf,
  writeName,
} from './package-row.ts'
import { compareBytes } from './ref-records.ts'

/** Rows for which a builder makes room at first. */
const FIRST_ROWS = 256
/** Hash parts in one piece: 320 KiB, half a millisecond. */
const PIECE_HASHES = 16_384

/**
 * The refs of packages, in rows of 60 bytes in the order of their names (`package-row.ts`): a third of what their lines take, and the ids need
 * not be looked at to know that they are ones. Immutable. A *place* is a row's number times two, plus which of its refs is meant; it may
 * be empty.
 */
export class PackageTable {
  readonly #rows: Buffer
  /** Number of refs. */
  readonly count: number
  /** Number of refs that are the narinfo of a package. */
  readonly packageCount: number

  /** @param rows kept, not copied */
  constructor(rows: Buffer, count: number, packageCount: number) {
    this.#rows = rows
    this.count = count
    this.packageCount = packageCount
  }

  /** Number of places. */
  get places(): number {
    return (this.#rows.length / ROW_BYTES) * 2
  }

  /** The place of the ref with this name; -1 when there is no such ref. */
  find(name: string): number {
    const ref = rowRefOf(name)
    if (ref === undefined || !setKey(name)) return -1
    const row = this.#lowerBound(KEY, 0)
    return this.#isAt(row, KEY) && hasRef(this.#rows, row * ROW_BYTES, ref) ? 2 * row + ref : -1
  }

  /** Whether there is a ref at a place. */
  has(place: number): boolean {
    return hasRef(this.#rows, rowOf(place), refOf(place))
  }

  oid(place: number): Oid {
    return oidIn(this.#rows, rowOf(place), refOf(place))
  }

  name(place: number): string {
    return NAME.toString('latin1', 0, this.#name(place))
  }

  /** Packages in order of their hashes, without those that have no narinfo. */
  *packages(): Generator<PackageRefs> {
    for (let place = 0; place < this.places; place += 2) {
      if (!this.has(place)) continue
      const hash = this.name(place).slice(HASH_START, HASH_END - 1)
      const narinfo = this.oid(place)
      yield this.has(place + 1) ? { hash, narinfo, result: this.oid(place + 1) } : { hash, narinfo }
    }
  }

  /**
   * Hash parts of the packages of which both refs are here: 20 bytes each, as `hashBytes` has them, many in each piece.
   *
   * @param without places of packages that are left out, of either of their refs
   */
  *hashes(without: ReadonlySet<number>): Generator<Buffer> {
    const rows = this.#rows
    for (let row = 0; row < rows.length; ) {
      const piece = Buffer.allocUnsafeSlow(PIECE_HASHES * KEY_BYTES)
      let filled = 0
      for (; row < rows.length && filled < piece.length; row += ROW_BYTES) {
        if (!hasRef(rows, row, 0) || !hasRef(rows, row, 1)) continue
        const place = 2 * (row / ROW_BYTES)
        if (without.has(place) || without.has(place + 1)) continue
        copyReversed(rows, row, piece, filled)
        filled += KEY_BYTES
      }
      yield piece.subarray(0, filled)
    }
  }

  /** Calls with the row of each place in a range that has a ref. */
  forEach(from: number, to: number, visit: (rows: Buffer, row: number, ref: RowRef) => void): void {
    for (let place = from; place < to; place++) {
      if (this.has(place)) visit(this.#rows, rowOf(place), refOf(place))
    }
  }

  /** The first place whose name is not below the key. */
  lowerBound(key: Uint8Array): number {
    return this.#search((length) => compareBytes(NAME, 0, length, key, 0, key.length) < 0)
  }

  /** The first place whose name is above all names that begin with the prefix. */
  endOf(prefix: Uint8Array): number {
    return this.#search(
      (length) => compareBytes(NAME, 0, Math.min(length, prefix.length), prefix, 0, prefix.length) <= 0,
    )
  }

  /** Number of refs at the places of a range. */
  countBetween(from: number, to: number): number {
    if (from === 0 && to === this.places) return this.count
    let count = 0
    for (let place = from; place < to; place++) if (this.has(place)) count++
    return count
  }

  /**
   * This table with changes applied.
   *
   * @param names of the changed refs, in byte order; names of packages' refs
   * @param newValue new value of a ref; `undefined` removes it
   */
  merge(names: readonly string[], newValue: (name: string) => Oid | undefined): PackageTable {
    if (names.length === 0) return this
    const rows = this.#rows
    const merged = Buffer.allocUnsafeSlow(rows.length + names.length * ROW_BYTES)
    let { count, packageCount } = this
    let from = 0
    let to = 0
    for (let next = 0; next < names.length; ) {
      const hash = names[next]!.slice(0, HASH_END)
      setKey(hash)
      const row = this.#lowerBound(KEY, from)
      to += rows.copy(merged, to, from * ROW_BYTES, row * ROW_BYTES)
      from = row
      if (this.#isAt(row, KEY)) {
        rows.copy(merged, to, row * ROW_BYTES, (row + 1) * ROW_BYTES)
        from++
      } else {
        merged.fill(0, to, to + ROW_BYTES)
        merged.set(KEY, to)
      }
      for (; names[next]?.startsWith(hash); next++) {
        const name = names[next]!
        const ref = rowRefOf(name)!
        const oid = newValue(name)
        const change = (oid === undefined ? 0 : 1) - (hasRef(merged, to, ref) ? 1 : 0)
        count += change
        if (ref === 0) packageCount += change
        merged.fill(0, idIn(to, ref), idIn(to, ref) + OID_BYTES)
        if (oid !== undefined) merged.write(oid, idIn(to, ref), 'hex')
      }
      if (hasRef(merged, to, 0) || hasRef(merged, to, 1)) to += ROW_BYTES
    }
    to += rows.copy(merged, to, from * ROW_BYTES)
    return new PackageTable(merged.subarray(0, to), count, packageCount)
  }

  /** Writes the name at a place to `NAME`. @returns its length */
  #name(place: number): number {
    return writeName(this.#rows, rowOf(place), refOf(place), NAME, 0)
  }

  /** The first place for whose name, in `NAME`, this is not so. */
  #search(isBefore: (length: number) => boolean): number {
    let low = 0
    let high = this.places
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isBefore(this.#name(middle))) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The first row from `from` on whose key is not below this one. */
  #lowerBound(key: Uint8Array, from: number): number {
    let low = from
    let high = this.#rows.length / ROW_BYTES
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(middle, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #isAt(row: number, key: Uint8Array): boolean {
    return row * ROW_BYTES < this.#rows.length && this.#compare(row, key) === 0
  }

  #compare(row: number, key: Uint8Array): number {
    const start = row * ROW_BYTES
    for (let i = 0; i < KEY_BYTES; i++) {
      const difference = this.#rows[start + i]! - key[i]!
      if (difference !== 0) return difference
    }
    return 0
  }
}

/** Whether a table can have a ref of this name and value; `undefined` removes it. */
export function canHold(name: string, oid: Oid | undefined): boolean {
  return rowRefOf(name) !== undefined && setKey(name) && (oid === undefined || oid !== NULL_OID)
}

/** The bytes of a package's hash part, which are those of a key from the last to the first. @throws RangeError when it is none */
export function hashBytes(hash: string): Buffer {
  if (!setKey(`${PACKAGE_REFS_PREFIX}${hash}`)) throw new RangeError(`${hash} is no hash part`)
  const bytes = Buffer.allocUnsafeSlow(KEY_BYTES)
  copyReversed(KEY, 0, bytes, 0)
  return bytes
}

/** Makes a table from the lines of a file, which must come in the order of their names. */
export class PackageTableBuilder {
  /** Zero where nothing has been written. */
  #rows: Buffer
  #length = 0
  #count = 0
  #packageCount = 0

  /** @param expected rows that there will probably be */
  constructor(expected: number) {
    this.#rows = Buffer.alloc(Math.max(FIRST_ROWS, expected) * ROW_BYTES)
  }

  /**
   * Takes in a line, when it is that of a package's ref and has an id.
   *
   * @param at where the line begins
   * @param name where its name begins
   * @param ref what `rowRefAt` says of the name
   * @returns whether it was taken
   */
  add(bytes: Uint8Array, at: number, name: number, ref: RowRef): boolean {
    if (this.#length === this.#rows.length) this.#grow()
    const row = this.#length
    const rows = this.#rows
    const last = row - ROW_BYTES
    const hasKey = keyAt(bytes, name, rows, row)
    const target = ref === 1 && row > 0 && isSameKey(rows, last, row) ? last : row
    if (!hasKey || !idAt(bytes, at, rows, idIn(target, ref))) {
      rows.fill(0, row, row + ROW_BYTES)
      rows.fill(0, idIn(target, ref), idIn(target, ref) + OID_BYTES)
      return false
    }
    if (target === row) this.#length += ROW_BYTES
    this.#count++
    if (ref === 0) this.#packageCount++
    return true
  }

  finish(): PackageTable {
    // What was made room for and never touched takes no memory.
    return new PackageTable(this.#rows.subarray(0, this.#length), this.#count, this.#packageCount)
  }

  #grow(): void {
    const larger = Buffer.alloc(2 * this.#rows.length)
    this.#rows.copy(larger)
    this.#rows = larger
  }
}

const NULL_OID = '0'.repeat(2 * OID_BYTES)
const HASH_START = PACKAGE_REFS_PREFIX.length
/** Where in a name the hash part ends, with the slash behind it. */
const HASH_END = HASH_START + PACKAGE_HASH_LENGTH + 1
/** The key that is looked for, and the name that is compared. */
const KEY = new Uint8Array(KEY_BYTES)
const NAME = Buffer.alloc(LONGEST_NAME)
const TEXT = Buffer.alloc(LONGEST_NAME)

/** Sets `KEY` to that of a name. @returns whether it has the hash part of a package */
function setKey(name: string): boolean {
  TEXT.write(name)
  return keyAt(TEXT, 0, KEY, 0)
}

function isSameKey(rows: Uint8Array, a: number, b: number): boolean {
  for (let i = 0; i < KEY_BYTES; i++) if (rows[a + i] !== rows[b + i]) return false
  return true
}

function copyReversed(key: Uint8Array, from: number, to: Uint8Array, at: number): void {
  for (let i = 0; i < KEY_BYTES; i++) to[at + i] = key[from + KEY_BYTES - 1 - i]!
}

function rowOf(place: number): number {
  return (place >>> 1) * ROW_BYTES
}

function refOf(place: number): RowRef {
  return (place & 1) as RowRef
}
