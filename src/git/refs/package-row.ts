/**
 * The row that stands for a package's refs in memory: hash part (20 bytes), narinfo (20), commit (20). The lines of `packed-refs` for the same
 * take 173. A hash part is the number whose nix32 digits it has, big endian, so that rows are in order when their names are. An id
 * of zero bytes is a ref that is not there.
 */
import { OID_BYTES, type Oid } from '../oid.ts'
import { PACKAGE_HASH_LENGTH } from './package-refs.ts'

/** Bytes of a hash part in a row. */
export const KEY_BYTES = 20
export const ROW_BYTES = KEY_BYTES + 2 * OID_BYTES

/** Which of a row's refs is meant; in the order of their names. */
export type RowRef = 0 | 1

const PREFIX = 'refs/'
const SUFFIXES = ['/narinfo', '/result'] as const
const SUFFIX_BYTES = SUFFIXES.map((suffix) => Buffer.from(suffix))
const PREFIX_BYTES = Buffer.from(PREFIX)
const HASH_AT = PREFIX.length
const SUFFIX_AT = HASH_AT + PACKAGE_HASH_LENGTH
/** Lengths of the names. */
const NAME_LENGTHS = SUFFIXES.map((suffix) => SUFFIX_AT + suffix.length) as [number, number]
/** The longest name of a ref that a row has. */
export const LONGEST_NAME = Math.max(...NAME_LENGTHS)

const HEX_DIGITS = Buffer.from('0123456789abcdef')
const NIX32_DIGITS = Buffer.from('0123456789abcdfghijklmnpqrsvwxyz')
/** Above every value of a digit, whatever it is combined with. */
const NO_DIGIT = 0x100
const HEX_VALUES = valuesOf(HEX_DIGITS)
const NIX32_VALUES = valuesOf(NIX32_DIGITS)

function valuesOf(digits: Buffer): Uint16Array {
  const values = new Uint16Array(256).fill(NO_DIGIT)
  for (const [value, digit] of digits.entries()) values[digit] = value
  return values
}

/** Which of a package's refs has the name in `bytes[start, end)`, as far as its ends tell; `undefined` for any other name. */
export function rowRefAt(bytes: Uint8Array, start: number, end: number): RowRef | undefined {
  const ref = NAME_LENGTHS.indexOf(end - start)
  if (ref < 0) return undefined
  for (let i = 0; i < HASH_AT; i++) if (bytes[start + i] !== PREFIX_BYTES[i]) return undefined
  const suffix = SUFFIX_BYTES[ref]!
  for (let i = 0; i < suffix.length; i++) if (bytes[start + SUFFIX_AT + i] !== suffix[i]) return undefined
  return ref as RowRef
}

/** As `rowRefAt`, of a text. */
export function rowRefOf(name: string): RowRef | undefined {
  const ref = NAME_LENGTHS.indexOf(name.length)
  if (ref < 0 || !name.startsWith(PREFIX) || !name.endsWith(SUFFIXES[ref]!)) return undefined
  return ref as RowRef
}

/** Writes the key of the name that begins at `start`. @returns whether it has the hash part of a package */
export function keyAt(bytes: Uint8Array, start: number, to: Uint8Array, at: number): boolean {
  let all = 0
  for (let group = 0; group < 4; group++) {
    let high = 0
    let low = 0
    const from = start + HASH_AT + 8 * group
    for (let i = 0; i < 4; i++) {
      const left = NIX32_VALUES[bytes[from + i]!]!
      const right = NIX32_VALUES[bytes[from + 4 + i]!]!
      all |= left | right
      high = (high << 5) | left
      low = (low << 5) | right
    }
    const out = at + 5 * group
    to[out] = high >>> 12
    to[out + 1] = high >>> 4
    to[out + 2] = (high << 4) | (low >>> 16)
    to[out + 3] = low >>> 8
    to[out + 4] = low
  }
  return all < NO_DIGIT
}

/** Whether `bytes[start, end)` is `refs/<hash>/narinfo`. */
export function isNarinfoName(bytes: Uint8Array, start: number, end: number): boolean {
  return rowRefAt(bytes, start, end) === 0 && keyAt(bytes, start, SCRATCH, 0)
}

const SCRATCH = new Uint8Array(KEY_BYTES)

/** Writes the id whose digits begin at `start`. @returns whether it is one, and not zero */
export function idAt(bytes: Uint8Array, start: number, to: Uint8Array, at: number): boolean {
  let all = 0
  for (let i = 0; i < OID_BYTES; i++) {
    const value = (HEX_VALUES[bytes[start + 2 * i]!]! << 4) | HEX_VALUES[bytes[start + 2 * i + 1]!]!
    all |= value
    to[at + i] = value
  }
  return all > 0 && all < NO_DIGIT
}

/** Where in a row that begins at `row` the id of one of its refs begins. */
export function idIn(row: number, ref: RowRef): number {
  return row + KEY_BYTES + ref * OID_BYTES
}

/** Whether the ref of a row is there. */
export function hasRef(rows: Uint8Array, row: number, ref: RowRef): boolean {
  const start = idIn(row, ref)
  for (let at = start; at < start + OID_BYTES; at++) if (rows[at] !== 0) return true
  return false
}

/** The id of a ref of a row that is there. */
export function oidIn(rows: Buffer, row: number, ref: RowRef): Oid {
  const at = idIn(row, ref)
  return rows.toString('hex', at, at + OID_BYTES)
}

/** Writes the name of a ref of a row. @returns where it ends */
export function writeName(rows: Uint8Array, row: number, ref: RowRef, to: Buffer, at: number): number {
  to.set(PREFIX_BYTES, at)
  for (let group = 0; group < 4; group++) {
    const from = row + 5 * group
    const out = at + HASH_AT + 8 * group
    let high = (rows[from]! << 12) | (rows[from + 1]! << 4) | (rows[from + 2]! >>> 4)
    let low = ((rows[from + 2]! & 15) << 16) | (rows[from + 3]! << 8) | rows[from + 4]!
    for (let i = 3; i >= 0; i--) {
      to[out + i] = NIX32_DIGITS[high & 31]!
      to[out + 4 + i] = NIX32_DIGITS[low & 31]!
      high >>>= 5
      low >>>= 5
    }
  }
  const suffix = SUFFIX_BYTES[ref]!
  to.set(suffix, at + SUFFIX_AT)
  return at + SUFFIX_AT + suffix.length
}

/** Writes the id of a ref of a row, in digits. @returns where it ends */
export function writeId(rows: Uint8Array, row: number, ref: RowRef, to: Buffer, at: number): number {
  const from = idIn(row, ref)
  for (let i = 0; i < OID_BYTES; i++) {
    const value = rows[from + i]!
    to[at + 2 * i] = HEX_DIGITS[value >>> 4]!
    to[at + 2 * i + 1] = HEX_DIGITS[value & 15]!
  }
  return at + 2 * OID_BYTES
}
