import { encodePkt } from '../pkt-line.ts'

/** Packets that are sent together: few, larger writes. */
const BATCH_BYTES = 64 * 1024

/** Collects packets until they are worth a write. */
export class PacketBatch {
  #packets: Buffer[] = []
  #bytes = 0

  /** Adds a packet with this payload. */
  line(text: string): void {
    this.raw(encodePkt(text))
  }

  /** Adds a packet that is encoded already. */
  raw(packet: Buffer): void {
    this.#packets.push(packet)
    this.#bytes += packet.length
  }

  get isFull(): boolean {
    return this.#bytes >= BATCH_BYTES
  }

  /** What was collected. */
  take(): Buffer {
    const bytes = Buffer.concat(this.#packets, this.#bytes)
    this.#packets = []
    this.#bytes = 0
    return bytes
  }
}
