import { ADDED, CHANGE_BYTES, HASH_BYTES, PREFIX_BYTES } from '../../../protocol/index.ts'
import { Fingerprint } from './fingerprint.ts'
import { SortedRecords } from './sorted-records.ts'

/** What belongs below one prefix. */
export interface Bucket {
  readonly prefix: Uint8Array
  /** All hash parts that begin with it, in byte order. */
  readonly hashes: Uint8Array
}

/** What one peer has, as prefixes of hash parts: 8 MB per million. */
export class FollowedSet {
  readonly #prefixes: SortedRecords
  readonly #fingerprint: Fingerprint

  /** @param prefixes 8 bytes each, in byte order; kept, not copied */
  constructor(prefixes: Uint8Array = Buffer.alloc(0)) {
    this.#prefixes = new SortedRecords(PREFIX_BYTES, PREFIX_BYTES, prefixes)
    this.#fingerprint = Fingerprint.of(prefixes, PREFIX_BYTES)
  }

  get count(): number {
    return this.#prefixes.size
  }

  /** Whether a hash part (or its prefix), which begins at `at`, is in the set: wrong once in 2^64 a package. */
  has(hash: Uint8Array, at = 0): boolean {
    return this.#prefixes.has(hash, at)
  }

  /** @returns whether it was not there */
  add(hash: Uint8Array, at = 0): boolean {
    const added = this.#prefixes.add(hash, at)
    if (added) this.#fingerprint.toggle(hash, at)
    return added
  }

  /** @returns whether it was there */
  delete(hash: Uint8Array, at = 0): boolean {
    const deleted = this.#prefixes.delete(hash, at)
    if (deleted) this.#fingerprint.toggle(hash, at)
    return deleted
  }

  /** Applies changes of a log. @returns the hash parts that they added and the set did not have */
  apply(changes: Uint8Array): Uint8Array[] {
    const learnt: Uint8Array[] = []
    for (let at = 0; at < changes.length; at += CHANGE_BYTES) {
      if (changes[at] !== ADDED) this.delete(changes, at + 1)
      else if (this.add(changes, at + 1)) learnt.push(changes.subarray(at + 1, at + CHANGE_BYTES))
    }
    return learnt
  }

  /**
   * Makes what the set has in some buckets equal to what is given. Of all of them the old contents are looked up before anything is
   * changed: looking up after a change costs a copy of the set.
   *
   * @returns the hash parts that it did not have
   */
  replace(buckets: readonly Bucket[]): Uint8Array[] {
    const old = buckets.map(({ prefix }) => Buffer.from(this.#prefixes.beginningWith(prefix)))
    const learnt: Uint8Array[] = []
    for (const [index, { hashes }] of buckets.entries()) {
      const now = new FollowedSet(prefixesOf(hashes))
      const before = old[index]!
      for (let at = 0; at < before.length; at += PREFIX_BYTES)
        if (!now.has(before, at)) this.delete(before, at)
      for (let at = 0; at < hashes.length; at += HASH_BYTES) {
        if (this.add(hashes, at)) learnt.push(hashes.subarray(at, at + HASH_BYTES))
      }
    }
    return learnt
  }

  /** Whether the set has this many hashes with this fingerprint. */
  matches(count: number, fingerprint: Uint8Array): boolean {
    return count === this.count && this.#fingerprint.equals(fingerprint)
  }

  /** The prefixes in byte order, as a view that holds until the next change. */
  bytes(): Buffer {
    return this.#prefixes.bytes()
  }
}

/** The first 8 bytes of each hash part. */
export function prefixesOf(hashes: Uint8Array): Buffer {
  const count = hashes.length / HASH_BYTES
  const prefixes = Buffer.allocUnsafeSlow(count * PREFIX_BYTES)
  const from = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength)
  const to = new DataView(prefixes.buffer)
  for (let index = 0; index < count; index++) {
    to.setUint32(index * PREFIX_BYTES, from.getUint32(index * HASH_BYTES))
    to.setUint32(index * PREFIX_BYTES + 4, from.getUint32(index * HASH_BYTES + 4))
  }
  return prefixes
}
