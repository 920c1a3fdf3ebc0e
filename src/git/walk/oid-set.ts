import { getRandomValues } from 'node:crypto'
import { OID_BYTES, type Oid, oidFromBytes } from '../oid.ts'

/** Ids in one piece of memory. Pieces are added as they are needed, so that no id is copied when a set grows. */
const IDS_A_PIECE = 8192
const FIRST_SLOTS = 1024

/**
 * Object ids, each once, with the rank in which they were added. An id takes its 20 bytes and 8 to 16 in the table; there
 * are no objects of JavaScript for single ids, as there may be millions.
 */
export class OidSet {
  readonly #pieces: Buffer[] = []
  /** Open addressing: the rank of an id plus one, 0 where there is none. At most half full. */
  #slots = new Uint32Array(FIRST_SLOTS)
  #count = 0
  // Keys of its own for each set: who makes objects whose ids look alike must not slow down the table.
  readonly #keys = getRandomValues(new Uint32Array(4)).map((key) => key | 1)

  /** Number of ids. */
  get count(): number {
    return this.#count
  }

  /** Adds the id in the 20 bytes at `offset` and gives its rank, counted from 0; -1 when it was there before. */
  add(bytes: Buffer, offset = 0): number {
    const slot = this.#slotOf(bytes, offset)
    if (this.#slots[slot] !== 0) return -1
    const rank = this.#count++
    const within = rank % IDS_A_PIECE
    if (within === 0) this.#pieces.push(Buffer.allocUnsafeSlow(IDS_A_PIECE * OID_BYTES))
    bytes.copy(this.#pieces.at(-1)!, within * OID_BYTES, offset, offset + OID_BYTES)
    this.#slots[slot] = rank + 1
    if (this.#count * 2 > this.#slots.length) this.#grow()
    return rank
  }

  /** The rank of the id in the 20 bytes at `offset`, or -1. */
  rankOf(bytes: Buffer, offset = 0): number {
    return this.#slots[this.#slotOf(bytes, offset)]! - 1
  }

  /** The 20 bytes of the id of this rank. Not to be changed. */
  at(rank: number): Buffer {
    if (!(rank >= 0 && rank < this.#count)) throw new RangeError(`no id of rank ${rank}`)
    const at = (rank % IDS_A_PIECE) * OID_BYTES
    return this.#pieces[Math.floor(rank / IDS_A_PIECE)]!.subarray(at, at + OID_BYTES)
  }

  /** The id of this rank as text. */
  oidAt(rank: number): Oid {
    return oidFromBytes(this.at(rank))
  }

  /** The slot that holds the id, or the free one where it belongs. */
  #slotOf(bytes: Buffer, offset: number): number {
    const mask = this.#slots.length - 1
    for (let slot = this.#hash(bytes, offset) & mask; ; slot = (slot + 1) & mask) {
      const rank = this.#slots[slot]! - 1
      if (rank < 0 || this.#equals(rank, bytes, offset)) return slot
    }
  }

  #equals(rank: number, bytes: Buffer, offset: number): boolean {
    const piece = this.#pieces[Math.floor(rank / IDS_A_PIECE)]!
    const at = (rank % IDS_A_PIECE) * OID_BYTES
    for (let i = 0; i < OID_BYTES; i++) if (piece[at + i] !== bytes[offset + i]) return false
    return true
  }

  #hash(bytes: Buffer, offset: number): number {
    const keys = this.#keys
    let hash =
      Math.imul(bytes.readUInt32LE(offset), keys[0]!) ^ Math.imul(bytes.readUInt32LE(offset + 4), keys[1]!)
    hash = Math.imul(hash ^ (hash >>> 15), keys[2]!) ^ Math.imul(bytes.readUInt32LE(offset + 8), keys[3]!)
    return hash ^ (hash >>> 16)
  }

  #grow(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2)
    const mask = this.#slots.length - 1
    for (let rank = 0; rank < this.#count; rank++) {
      let slot = this.#hash(this.at(rank), 0) & mask
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
      this.#slots[slot] = rank + 1
    }
  }
}

/** Numbers below 2^32 in the order in which they were added, 4 to 8 bytes each. */
export class NumberList {
  #numbers = new Uint32Array(16)
  #count = 0

  get count(): number {
    return this.#count
  }

  push(number: number): void {
    if (this.#count === this.#numbers.length) {
      const larger = new Uint32Array(this.#count * 2)
      larger.set(this.#numbers)
      this.#numbers = larger
    }
    this.#numbers[this.#count++] = number
  }

  at(index: number): number {
    if (!(index >= 0 && index < this.#count)) throw new RangeError(`no number at ${index}`)
    return this.#numbers[index]!
  }
}
