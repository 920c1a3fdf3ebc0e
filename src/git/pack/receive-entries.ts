import type { Oid } from '../oid.ts'
import { EntryTable, enlarged } from './entry-table.ts'
import type { PackEntry } from './finish.ts'

const FIRST_CAPACITY = 256

/** What is known of one entry that came whole. */
export interface ReceivedEntry extends PackEntry {
  /** Where it began in the pack as it came; `offset` is where it begins in the file that is kept. */
  readonly origin: number
}

/**
 * The entries of a pack that is being received: some 70 bytes each in columns that grow with what arrived, never by a
 * number that the pack declares.
 */
export class ReceivedEntries extends EntryTable {
  #origins = new Float64Array(FIRST_CAPACITY)

  /** Adds an entry; they come in the order of their places. */
  override add(entry: ReceivedEntry): void {
    const row = this.count
    if (row === this.#origins.length) this.#origins = enlarged(this.#origins, new Float64Array(2 * row))
    this.#origins[row] = entry.origin
    super.add(entry)
  }

  /** The id of the entry that began there in the pack as it came. */
  oidFrom(origin: number): Oid | undefined {
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const found = this.#origins[middle]!
      if (found === origin) return this.oidAt(middle)
      if (found < origin) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }
}
