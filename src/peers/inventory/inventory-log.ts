import { setImmediate } from 'node:timers/promises'
import { ADDED, CHANGE_BYTES, HASH_BYTES, PREFIX_BYTES, REMOVED } from '../../../protocol/index.ts'
import { PrefixDigest } from './digest.ts'
import { Fingerprint } from './fingerprint.ts'
import { SortedRecords } from './sorted-records.ts'

/** Changes that are kept: 1.4 MB. Who is further behind compares digests, which costs less than so many changes. */
export const MAX_LOG_CHANGES = 65_536

/** Hashes that are summed up in one turn. */
const TURN_HASHES = 65_536

/** What a restarted node needs to go on with its log. */
export interface LogState {
  readonly epoch: number
  /** Number of the last change that `base` has in it. */
  readonly baseSeq: number
  /** Hash parts of 20 bytes in byte order. */
  readonly base: Uint8Array
  /** Changes after `baseSeq`, 21 bytes each. */
  readonly changes: Uint8Array
}

/**
 * A node's own inventory as a log with one writer, itself: an epoch, and changes numbered from 1 on in it. Of the changes the newest are
 * kept; of the inventory, everything. Only what the node shares gets in here, so nothing that is answered from here names anything
 * else. Pure: whoever changes it makes the changes durable before anybody hears of them.
 */
export class InventoryLog {
  #epoch: number
  #minSeq: number
  #changes: Buffer
  #changeCount = 0
  readonly #set: SortedRecords
  readonly #fingerprint: Fingerprint
  readonly #digest: PrefixDigest

  /**
   * @param summary of the state's base
   * @throws RangeError when a change in it changes nothing: then it is no log of ours
   */
  constructor(state: LogState, summary = summaryOf(state.base)) {
    this.#epoch = state.epoch
    this.#minSeq = state.baseSeq
    this.#set = new SortedRecords(HASH_BYTES, PREFIX_BYTES, state.base)
    this.#fingerprint = summary.fingerprint
    this.#digest = summary.digest
    this.#changes = Buffer.alloc(64 * CHANGE_BYTES)
    if (this.apply(state.changes) !== state.changes.length / CHANGE_BYTES) {
      throw new RangeError('a change in the log changes nothing')
    }
  }

  /** As the constructor, in turns. */
  static async open(state: LogState): Promise<InventoryLog> {
    const summary = summaryOf(Buffer.alloc(0))
    for (let at = 0; at < state.base.length; at += TURN_HASHES * HASH_BYTES) {
      await setImmediate()
      const part = summaryOf(state.base.subarray(at, at + TURN_HASHES * HASH_BYTES))
      summary.fingerprint.join(part.fingerprint)
      summary.digest.join(part.digest)
    }
    return new InventoryLog(state, summary)
  }

  /** The state that a log begins with, in a new epoch. @param hashes 20 bytes each, in byte order, no two with the same first 8 */
  static begin(epoch: number, hashes: Uint8Array): LogState {
    // numbered as if each had been added in this epoch, so that count is never above seq
    return { epoch, baseSeq: hashes.length / HASH_BYTES, base: hashes, changes: Buffer.alloc(0) }
  }

  get epoch(): number {
    return this.#epoch
  }

  /** Number of the last change. */
  get seq(): number {
    return this.#minSeq + this.#changeCount
  }

  /** Lowest cursor that `tail` can answer. */
  get minSeq(): number {
    return this.#minSeq
  }

  /** Number of hashes. */
  get count(): number {
    return this.#set.size
  }

  get fingerprint(): Buffer {
    return this.#fingerprint.bytes()
  }

  has(hash: Uint8Array): boolean {
    return this.#set.has(hash)
  }

  /** All hash parts in byte order, as a view that holds until the next change. */
  hashes(): Buffer {
    return this.#set.bytes()
  }

  /**
   * Those of these changes that change something, in their order. A hash whose first 8 bytes are those of another one is left out: the
   * contract tells hashes apart by them (it happens to nobody who does not look for it).
   */
  effective(changes: Uint8Array): Buffer {
    const kept: Uint8Array[] = []
    const state = new Map<string, boolean>()
    for (let at = 0; at < changes.length; at += CHANGE_BYTES) {
      const hash = Buffer.from(changes.subarray(at + 1, at + CHANGE_BYTES))
      const prefix = hash.toString('latin1', 0, PREFIX_BYTES)
      const taken = state.get(prefix) ?? this.#set.hasKey(hash)
      const there = state.get(hash.toString('latin1')) ?? this.#set.has(hash)
      if (changes[at] === ADDED ? taken : !there) continue
      state.set(prefix, changes[at] === ADDED)
      state.set(hash.toString('latin1'), changes[at] === ADDED)
      kept.push(changes.subarray(at, at + CHANGE_BYTES))
    }
    return Buffer.concat(kept)
  }

  /** Appends changes of 21 bytes each. @returns how many of them changed something; the others are left out */
  apply(changes: Uint8Array): number {
    let applied = 0
    for (let at = 0; at < changes.length; at += CHANGE_BYTES) {
      const changed =
        changes[at] === ADDED ? this.#set.add(changes, at + 1) : this.#set.delete(changes, at + 1)
      if (!changed) continue
      this.#fingerprint.toggle(changes, at + 1)
      this.#digest.toggle(changes, at + 1)
      this.#append(changes.subarray(at, at + CHANGE_BYTES))
      applied++
    }
    return applied
  }

  /** Begins a new epoch with the same inventory; its changes before are gone. @param epoch above the current one */
  renew(epoch: number): void {
    this.#epoch = epoch
    this.#minSeq = this.count
    this.#changeCount = 0
  }

  /** At most `limit` changes after the change `after`; `undefined` when they are not kept, or do not exist yet. */
  tail(after: number, limit: number): Buffer | undefined {
    if (after < this.#minSeq || after > this.seq) return undefined
    const start = (after - this.#minSeq) * CHANGE_BYTES
    const end = Math.min(start + limit * CHANGE_BYTES, this.#changeCount * CHANGE_BYTES)
    return this.#changes.subarray(start, end)
  }

  /** Hash parts that the last changes added, oldest first, back to a removal or `limit`. */
  newest(limit: number): Buffer {
    let from = this.#changeCount
    while (from > 0 && this.#changeCount - from < limit && this.#changes[(from - 1) * CHANGE_BYTES] === ADDED)
      from--
    const hashes: Uint8Array[] = []
    for (let index = from; index < this.#changeCount; index++) {
      hashes.push(this.#changes.subarray(index * CHANGE_BYTES + 1, (index + 1) * CHANGE_BYTES))
    }
    return Buffer.concat(hashes)
  }

  /** At most `limit` hash parts above `after` in byte order, or from the first on. */
  page(after: Uint8Array | undefined, limit: number): Buffer {
    return this.#set.after(after, limit)
  }

  /** Values of the children of a node of the digest. */
  digestChildren(level: number, node: number): Buffer {
    return this.#digest.children(level, node)
  }

  /** Hash parts of one bucket, in byte order. */
  bucket(index: number): Buffer {
    return this.#set.beginningWith(Uint8Array.of(index >> 8, index & 0xff))
  }

  /** Forgets the older half of the changes once there are too many. @returns whether it did */
  compact(): boolean {
    if (this.#changeCount <= MAX_LOG_CHANGES) return false
    const forgotten = this.#changeCount - MAX_LOG_CHANGES / 2
    this.#changes = Buffer.from(
      this.#changes.subarray(forgotten * CHANGE_BYTES, this.#changeCount * CHANGE_BYTES),
    )
    this.#changeCount -= forgotten
    this.#minSeq += forgotten
    return true
  }

  /** What `new InventoryLog` makes this log from. */
  state(): LogState {
    const changes = Buffer.from(this.#changes.subarray(0, this.#changeCount * CHANGE_BYTES))
    const base = new SortedRecords(HASH_BYTES, PREFIX_BYTES, Buffer.from(this.#set.bytes()))
    for (let at = changes.length - CHANGE_BYTES; at >= 0; at -= CHANGE_BYTES) {
      if (changes[at] === ADDED) base.delete(changes, at + 1)
      else base.add(changes, at + 1)
    }
    return { epoch: this.#epoch, baseSeq: this.#minSeq, base: base.bytes(), changes }
  }

  #append(change: Uint8Array): void {
    const at = this.#changeCount * CHANGE_BYTES
    if (at === this.#changes.length)
      this.#changes = Buffer.concat([this.#changes], 2 * Math.max(at, CHANGE_BYTES))
    this.#changes.set(change, at)
    this.#changeCount++
  }
}

interface Summary {
  readonly fingerprint: Fingerprint
  readonly digest: PrefixDigest
}

function summaryOf(hashes: Uint8Array): Summary {
  return {
    fingerprint: Fingerprint.of(hashes, HASH_BYTES),
    digest: PrefixDigest.of(hashes, HASH_BYTES),
  }
}

/** One change as it stands in the log. @param hash 20 bytes */
export function encodeChange(added: boolean, hash: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(added ? ADDED : REMOVED), hash])
}
