import { DIGEST_DEPTH, DIGEST_FANOUT, DIGEST_VALUE_BYTES } from '../../../protocol/index.ts'
import { asBuffer } from './sorted-records.ts'

/** Buckets: nodes of the lowest level. */
export const BUCKETS = DIGEST_FANOUT ** DIGEST_DEPTH

/**
 * Digest of a set of hash parts that tells where two sets differ. A bucket holds the hashes with the same first 16 bits; its value is the
 * XOR of their bytes 4 to 7. 16 neighbours make a node of the level above, whose value is the XOR of theirs, up to the root: every
 * change updates four numbers, and who compares two digests descends only where they differ. 280 KB.
 */
export class PrefixDigest {
  /** Values of the levels 1 to `DIGEST_DEPTH`. */
  readonly #levels: Uint32Array[] = []

  constructor() {
    for (let level = 1; level <= DIGEST_DEPTH; level++)
      this.#levels.push(new Uint32Array(DIGEST_FANOUT ** level))
  }

  /** Of records of one width, one after the other. */
  static of(records: Uint8Array, width: number): PrefixDigest {
    const digest = new PrefixDigest()
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength)
    const lowest = digest.#levels[DIGEST_DEPTH - 1]!
    for (let at = 0; at < records.length; at += width) lowest[view.getUint16(at)]! ^= view.getUint32(at + 4)
    for (let level = DIGEST_DEPTH - 1; level >= 1; level--) {
      const values = digest.#levels[level - 1]!
      const children = digest.#levels[level]!
      for (let child = 0; child < children.length; child++)
        values[Math.floor(child / DIGEST_FANOUT)]! ^= children[child]!
    }
    return digest
  }

  /** Takes in the set of another digest, which has nothing in common with this one's. */
  join(other: PrefixDigest): void {
    for (const [level, values] of this.#levels.entries()) {
      const others = other.#levels[level]!
      for (let node = 0; node < values.length; node++) values[node]! ^= others[node]!
    }
  }

  /** Adds or removes the hash part (or its prefix) that begins at `at`. */
  toggle(hash: Uint8Array, at = 0): void {
    const bytes = asBuffer(hash)
    let node = bytes.readUInt16BE(at)
    const value = bytes.readUInt32BE(at + 4)
    for (let level = DIGEST_DEPTH; level >= 1; level--) {
      const values = this.#levels[level - 1]!
      values[node] = values[node]! ^ value
      node = Math.floor(node / DIGEST_FANOUT)
    }
  }

  /** The values of the children of a node of this level (0 to 3), as they travel. */
  children(level: number, node: number): Buffer {
    const values = this.#levels[level]!
    const bytes = Buffer.allocUnsafe(DIGEST_FANOUT * DIGEST_VALUE_BYTES)
    for (let child = 0; child < DIGEST_FANOUT; child++) {
      bytes.writeUInt32BE(values[node * DIGEST_FANOUT + child]!, child * DIGEST_VALUE_BYTES)
    }
    return bytes
  }

  /**
   * Which children of a node differ from what another side says of its own.
   *
   * @param values the 16 values of the other side, beginning at `at`
   */
  differing(level: number, node: number, values: Uint8Array, at: number): number[] {
    const bytes = asBuffer(values)
    const found: number[] = []
    for (let child = 0; child < DIGEST_FANOUT; child++) {
      const index = node * DIGEST_FANOUT + child
      if (this.#levels[level]![index] !== bytes.readUInt32BE(at + child * DIGEST_VALUE_BYTES))
        found.push(index)
    }
    return found
  }
}
