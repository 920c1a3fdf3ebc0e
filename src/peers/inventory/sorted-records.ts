/** How many changes wait beside the sorted bytes: enough that merging them in costs little each. */
const MIN_PENDING = 256
const PENDING_SHARE = 1 / 32

/**
 * Records of one width in one sorted buffer, each found by its first bytes, its key; no two have the same key. So a million hash parts
 * take 20 MB and a million prefixes 8, without an object for each. Changes wait in a map and are merged in many at a time.
 */
export class SortedRecords {
  readonly width: number
  readonly keyWidth: number
  #sorted: Buffer
  /** By key as latin1 text: the record, or `undefined` for one that is removed. */
  readonly #pending = new Map<string, Buffer | undefined>()
  #size: number

  /** @param sorted records in order of their keys; kept, not copied */
  constructor(width: number, keyWidth: number, sorted: Uint8Array = Buffer.alloc(0)) {
    this.width = width
    this.keyWidth = keyWidth
    this.#sorted = asBuffer(sorted)
    this.#size = sorted.length / width
  }

  /** Number of records. */
  get size(): number {
    return this.#size
  }

  /** Whether this very record is there. @param record its bytes begin at `at`, more may follow */
  has(record: Uint8Array, at = 0): boolean {
    const bytes = asBuffer(record)
    const found = this.#find(bytes, at)
    return found?.compare(bytes, at, at + this.width) === 0
  }

  /** Whether there is a record with the key that begins at `at`. */
  hasKey(record: Uint8Array, at = 0): boolean {
    return this.#find(asBuffer(record), at) !== undefined
  }

  /** Takes a record in. @returns `false` when there is one with this key */
  add(record: Uint8Array, at = 0): boolean {
    const bytes = asBuffer(record)
    if (this.#find(bytes, at) !== undefined) return false
    this.#size++
    this.#change(bytes, at, this.#copy(bytes, at))
    return true
  }

  /** Removes a record. @returns `false` when it is not there */
  delete(record: Uint8Array, at = 0): boolean {
    if (!this.has(record, at)) return false
    this.#size--
    this.#change(asBuffer(record), at, undefined)
    return true
  }

  /** All records in order, as a view that holds until the next change. */
  bytes(): Buffer {
    this.#merge()
    return this.#sorted
  }

  /** At most `limit` records with keys above that of `record` (from the first on without one), as a view like `bytes`. */
  after(record: Uint8Array | undefined, limit: number): Buffer {
    const all = this.bytes()
    let start = 0
    if (record !== undefined) {
      const bytes = asBuffer(record)
      const index = this.#lowerBound(bytes, 0, this.keyWidth)
      const equal = index * this.width < all.length && this.#compare(index, bytes, 0, this.keyWidth) === 0
      start = index + Number(equal)
    }
    return all.subarray(start * this.width, (start + limit) * this.width)
  }

  /** The records whose keys begin with this prefix, as a view like `bytes`. */
  beginningWith(prefix: Uint8Array): Buffer {
    const all = this.bytes()
    const bytes = asBuffer(prefix)
    const start = this.#lowerBound(bytes, 0, bytes.length)
    let end = start
    while (end * this.width < all.length && this.#compare(end, bytes, 0, bytes.length) === 0) end++
    return all.subarray(start * this.width, end * this.width)
  }

  #find(bytes: Buffer, at: number): Buffer | undefined {
    const key = bytes.toString('latin1', at, at + this.keyWidth)
    if (this.#pending.has(key)) return this.#pending.get(key)
    const index = this.#lowerBound(bytes, at, this.keyWidth)
    if (index * this.width >= this.#sorted.length) return undefined
    if (this.#compare(index, bytes, at, this.keyWidth) !== 0) return undefined
    return this.#sorted.subarray(index * this.width, (index + 1) * this.width)
  }

  /** A record in memory of its own: a slice of what Node shares out would keep 64 KiB for as long as it waits. */
  #copy(bytes: Buffer, at: number): Buffer {
    const record = Buffer.allocUnsafeSlow(this.width)
    bytes.copy(record, 0, at, at + this.width)
    return record
  }

  #change(bytes: Buffer, at: number, record: Buffer | undefined): void {
    this.#pending.set(bytes.toString('latin1', at, at + this.keyWidth), record)
    if (this.#pending.size > Math.max(MIN_PENDING, this.#size * PENDING_SHARE)) this.#merge()
  }

  /** Index of the first sorted record whose first `length` bytes are not below those at `at`. */
  #lowerBound(bytes: Buffer, at: number, length: number): number {
    let low = 0
    let high = this.#sorted.length / this.width
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(middle, bytes, at, length) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #compare(index: number, bytes: Buffer, at: number, length: number): number {
    const start = index * this.width
    return this.#sorted.compare(bytes, at, at + length, start, start + length)
  }

  /** Copies the stretches between the changes, and the changes. */
  #merge(): void {
    if (this.#pending.size === 0) return
    const merged = Buffer.allocUnsafeSlow(this.#size * this.width)
    let from = 0
    let to = 0
    for (const key of [...this.#pending.keys()].sort()) {
      const bytes = Buffer.from(key, 'latin1')
      const index = this.#lowerBound(bytes, 0, this.keyWidth)
      const start = index * this.width
      to += this.#sorted.copy(merged, to, from, start)
      const replaced = start < this.#sorted.length && this.#compare(index, bytes, 0, this.keyWidth) === 0
      from = start + (replaced ? this.width : 0)
      const record = this.#pending.get(key)
      if (record !== undefined) to += record.copy(merged, to)
    }
    this.#sorted.copy(merged, to, from)
    this.#sorted = merged
    this.#pending.clear()
  }
}

/** The same bytes as a `Buffer`, whose comparing and copying are used here. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
