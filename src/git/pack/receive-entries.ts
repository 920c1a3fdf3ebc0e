import { OID_BYTES, type Oid } from '../oid.ts'
import { NO_RECORD, type SpliceRecord } from '../splice/record.ts'
import { type PackIndexColumns, sortedOrder } from './index-writer.ts'

const FIRST_CAPACITY = 256
const CANONICAL = 1
const BITS = 2

/** What is known of one entry that came whole. */
export interface ReceivedEntry {
  readonly oid: Oid
  /** Where it began in the pack as it came. */
  readonly origin: number
  /** Where it begins in the file that is kept. */
  readonly offset: number
  readonly crc32: number
  readonly splice: SpliceRecord
}

/**
 * The entries of a pack that is being received: some 70 bytes each in columns that grow with what arrived, never by a
 * number that the pack declares.
 */
export class ReceivedEntries {
  #count = 0
  #oids = Buffer.alloc(FIRST_CAPACITY * OID_BYTES)
  #origins = new Float64Array(FIRST_CAPACITY)
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
  add({ oid, origin, offset, crc32, splice }: ReceivedEntry): void {
    const row = this.#count
    if (row === this.#crc32s.length) this.#grow()
    this.#oids.write(oid, row * OID_BYTES, 'hex')
    this.#origins[row] = origin
    this.#offsets[row] = offset
    this.#crc32s[row] = crc32
    if (splice.kind !== 'none') {
      this.#kinds[row] = splice.kind === 'canonical' ? CANONICAL : BITS
      this.#contentCrcs[row] = splice.crc32
      if (splice.kind === 'bits') {
        this.#finalBits[row] = splice.finalBit
        this.#endBits[row] = splice.endBit
      }
    }
    this.#count++
  }

  /** The id of the entry that began there in the pack as it came. */
  oidFrom(origin: number): Oid | undefined {
    let low = 0
    let high = this.#count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const found = this.#origins[middle]!
      if (found === origin) return this.#oids.toString('hex', middle * OID_BYTES, (middle + 1) * OID_BYTES)
      if (found < origin) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }

  /** What the pack's index says. */
  columns(): PackIndexColumns {
    return { count: this.#count, oids: this.#oids, crc32s: this.#crc32s, offsets: this.#offsets }
  }

  /** The splice records in the order of the index. */
  *records(): Generator<SpliceRecord> {
    for (const row of sortedOrder(this.#count, this.#oids, this.#offsets)) yield this.#record(row)
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
    this.#origins = enlarged(this.#origins, new Float64Array(capacity))
    this.#offsets = enlarged(this.#offsets, new Float64Array(capacity))
    this.#crc32s = enlarged(this.#crc32s, new Uint32Array(capacity))
    this.#kinds = enlarged(this.#kinds, new Uint8Array(capacity))
    this.#contentCrcs = enlarged(this.#contentCrcs, new Uint32Array(capacity))
    this.#finalBits = enlarged(this.#finalBits, new Float64Array(capacity))
    this.#endBits = enlarged(this.#endBits, new Float64Array(capacity))
  }
}

function enlarged<T extends Float64Array | Uint32Array | Uint8Array>(from: T, to: T): T {
  to.set(from)
  return to
}
