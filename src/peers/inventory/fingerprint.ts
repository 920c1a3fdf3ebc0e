import { FINGERPRINT_BYTES } from '../../../protocol/index.ts'
import { asBuffer } from './sorted-records.ts'

/**
 * Fingerprint of a set of hash parts: XOR of their first 8 bytes. It does not depend on the order and is kept up to date by each change. It
 * finds mistakes, not lies: the set's owner makes it, and could as well lie about the set.
 */
export class Fingerprint {
  #high = 0
  #low = 0

  /** Of records of one width, one after the other. */
  static of(records: Uint8Array, width: number): Fingerprint {
    const fingerprint = new Fingerprint()
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength)
    let high = 0
    let low = 0
    for (let at = 0; at < records.length; at += width) {
      high ^= view.getUint32(at)
      low ^= view.getUint32(at + 4)
    }
    fingerprint.#high = high >>> 0
    fingerprint.#low = low >>> 0
    return fingerprint
  }

  /** Takes in the set of another fingerprint, which has nothing in common with this one's. */
  join(other: Fingerprint): void {
    this.#high = (this.#high ^ other.#high) >>> 0
    this.#low = (this.#low ^ other.#low) >>> 0
  }

  /** Adds or removes the hash part (or its prefix) that begins at `at`. */
  toggle(hash: Uint8Array, at = 0): void {
    const bytes = asBuffer(hash)
    this.#high = (this.#high ^ bytes.readUInt32BE(at)) >>> 0
    this.#low = (this.#low ^ bytes.readUInt32BE(at + 4)) >>> 0
  }

  /** The 8 bytes as they are now. */
  bytes(): Buffer {
    const bytes = Buffer.allocUnsafe(FINGERPRINT_BYTES)
    bytes.writeUInt32BE(this.#high)
    bytes.writeUInt32BE(this.#low, 4)
    return bytes
  }

  equals(bytes: Uint8Array): boolean {
    return this.bytes().equals(bytes)
  }
}
