import { inTurns, Turns } from '../../util/turns.ts'
import { OID_BYTES, type Oid } from '../oid.ts'
import { NO_RECORD, type SpliceRecord } from '../splice/record.ts'
import type { PackEntry } from './finish.ts'
import { type PackIndexColumns, sortingSteps } from './index-writer.ts'

const FIRST_CAPACITY = 256
const CANONICAL = 1
const BITS = 2

/** An entry and how many bytes it takes in the pack. */
export interface PlacedEntry {
  readonly entry: PackEntry
  readonly length: number
}

/** What is known of the entries of a pack that is being made: some 60 bytes each, in columns that grow with them. */
export class EntryTable {
  #count = 0
  #oids = Buffer.alloc(FIRST_CAPACITY * OID_BYTES)
  #offsets = new Float64Array(FIRST_CAPACITY)
  #crc32s = new Uint32Array(FIRST_CAPACITY)
  #kinds = new Uint8Array(FIRST_CAPACITY)
  #contentCrcs = new Uint32Array(FIRST_CAPACITY)
  #finalBits = new Float64Array(FIRST_CAPACITY)
  #endBits = new Float64Array(FIRST_CAPACITY)

  get count(): number {
    return this.#count
  }

  /** Adds an entry; they come in the order of their places. */
  add({ oid, offset, crc32, splice }: PackEntry): void {
    const row = this.#count
    if (row === this.#crc32s.length) this.#grow()
    this.#oids.write(oid, row * OID_BYTES, 'hex')
    this.#offsets[row] = offset
    this.#crc32s[row] = crc32
    this.#kinds[row] = splice.kind === 'none' ? 0 : splice.kind === 'canonical' ? CANONICAL : BITS
    this.#contentCrcs[row] = splice.kind === 'none' ? 0 : splice.crc32
    if (splice.kind === 'bits') {
      this.#finalBits[row] = splice.finalBit
      this.#endBits[row] = splice.endBit
    }
    this.#count++
  }

  /** The id of the entry in a row. */
  oidAt(row: number): Oid {
    return this.#oids.toString('hex', row * OID_BYTES, (row + 1) * OID_BYTES)
  }

  /**
   * Forgets all but the first `count` entries.
   *
   * @param end where the last entry ends
   * @returns of those that are forgotten, the ones that are among `keep` with their lengths, in order, and the ids of the others
   */
  takeBack(count: number, end: number, keep: ReadonlySet<Oid>): { kept: PlacedEntry[]; dropped: Oid[] } {
    const kept: PlacedEntry[] = []
    const dropped: Oid[] = []
    for (let row = count; row < this.#count; row++) {
      const next = row + 1 < this.#count ? this.#offsets[row + 1]! : end
      const oid = this.oidAt(row)
      if (keep.has(oid)) kept.push({ entry: this.#entryAt(row), length: next - this.#offsets[row]! })
      else dropped.push(oid)
    }
    this.#count = count
    return { kept, dropped }
  }

  /** What the pack's index says, and the splice records in its order. Nothing may be added any more. */
  async inOrder(): Promise<{ objects: PackIndexColumns; records: Iterable<SpliceRecord> }> {
    const columns = { count: this.#count, oids: this.#oids, crc32s: this.#crc32s, offsets: this.#offsets }
    const order = await inTurns(sortingSteps(columns), new Turns())
    return { objects: { ...columns, order }, records: this.#records(order) }
  }

  *#records(order: Uint32Array): Generator<SpliceRecord> {
    for (const row of order) yield this.#record(row)
  }

  #entryAt(row: number): PackEntry {
    const [offset, crc32] = [this.#offsets[row]!, this.#crc32s[row]!]
    return { oid: this.oidAt(row), offset, crc32, splice: this.#record(row) }
  }

  #record(row: number): SpliceRecord {
    const kind = this.#kinds[row]
    const crc32 = this.#contentCrcs[row]!
    if (kind === CANONICAL) return { kind: 'canonical', crc32 }
    if (kind !== BITS) return NO_RECORD
    return { kind: 'bits', crc32, finalBit: this.#finalBits[row]!, endBit: this.#endBits[row]! }
  }

  #grow(): void {
    const capacity = 2 * this.#crc32s.length
    this.#oids = Buffer.concat([this.#oids], capacity * OID_BYTES)
    this.#offsets = enlarged(this.#offsets, new Float64Array(capacity))
    this.#crc32s = enlarged(this.#crc32s, new Uint32Array(capacity))
    this.#kinds = enlarged(this.#kinds, new Uint8Array(capacity))
    this.#contentCrcs = enlarged(this.#contentCrcs, new Uint32Array(capacity))
    this.#finalBits = enlarged(this.#finalBits, new Float64Array(capacity))
    this.#endBits = enlarged(this.#endBits, new Float64Array(capacity))
  }
}

/** The content of a column in a larger one. */
export function enlarged<T extends Float64Array | Uint32Array | Uint8Array>(from: T, to: T): T {
  to.set(from)
  return to
}
