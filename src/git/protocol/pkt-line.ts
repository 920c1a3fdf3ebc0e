/**
 * Git's pkt-line framing (gitprotocol-common): four hexadecimal digits of length, themselves included, and the payload.
 * The lengths 0000, 0001 and 0002 are packets without payload that separate what stands between them.
 */
import { GachixError } from '../../util/errors.ts'

/** The longest packet, length digits included. */
export const MAX_PKT_LENGTH = 65520
/** The longest payload of a packet. */
export const MAX_PKT_PAYLOAD = MAX_PKT_LENGTH - 4

export const FLUSH_PKT = Buffer.from('0000')
export const DELIM_PKT = Buffer.from('0001')
export const RESPONSE_END_PKT = Buffer.from('0002')

/** Bytes that are no pkt-lines, or not those that the protocol calls for. */
export class PktLineError extends GachixError {
  constructor(message: string) {
    super('ERR_GIT_PROTOCOL', message)
  }
}

/** What the packets 0000, 0001 and 0002 are. */
const SEPARATORS = ['flush', 'delimiter', 'response-end'] as const
const ZERO = 0x30

export type Packet =
  | { readonly type: 'data'; readonly payload: Buffer }
  | { readonly type: 'flush' | 'delimiter' | 'response-end' }

/** One packet with this payload. @throws RangeError when it is too long */
export function encodePkt(payload: string | Uint8Array): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  if (bytes.length > MAX_PKT_PAYLOAD) throw new RangeError(`a packet cannot hold ${bytes.length} bytes`)
  const packet = Buffer.allocUnsafe(4 + bytes.length)
  packet.write((bytes.length + 4).toString(16).padStart(4, '0'), 'latin1')
  packet.set(bytes, 4)
  return packet
}

/** A packet's payload as text without the line feed at its end. */
export function pktText(payload: Buffer): string {
  const end = payload.at(-1) === 0x0a ? payload.length - 1 : payload.length
  return payload.toString('utf8', 0, end)
}

/** Reads packets, and raw bytes, off a byte stream. At most one packet and one chunk of the stream are kept in memory. */
export class PktReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #buffer: Buffer = Buffer.alloc(0)
  #ended = false

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  /**
   * The next packet; `undefined` at the end of the stream. Its payload is valid until the next call.
   *
   * @throws PktLineError when the stream ends in a packet, or what comes is none
   */
  async read(): Promise<Packet | undefined> {
    if (!(await this.#fill(4))) {
      if (this.#buffer.length === 0) return undefined
      throw new PktLineError('the stream ends in the middle of a packet')
    }
    const length = this.#length()
    if (!(await this.#fill(length))) throw new PktLineError('the stream ends in the middle of a packet')
    return this.#take(length)
  }

  /**
   * The next packet when all of it has been read off the stream already, else `undefined`; so that many short ones cost no
   * waiting each. Its payload is valid until the next call.
   *
   * @throws PktLineError when what comes is no packet
   */
  buffered(): Packet | undefined {
    if (this.#buffer.length < 4) return undefined
    const length = this.#length()
    return this.#buffer.length < length ? undefined : this.#take(length)
  }

  /** All that follows, as it comes. */
  async *rest(): AsyncGenerator<Uint8Array> {
    if (this.#buffer.length > 0) yield this.#buffer
    this.#buffer = Buffer.alloc(0)
    while (!this.#ended) {
      const { done, value } = await this.#chunks.next()
      if (done) this.#ended = true
      else yield value
    }
  }

  /** Ends reading; the stream's own clean-up runs. */
  async close(): Promise<void> {
    this.#ended = true
    await this.#chunks.return?.()
  }

  /** Bytes that the packet at the beginning of the buffer takes, digits included. @throws PktLineError when there is none */
  #length(): number {
    const digits = this.#buffer.toString('latin1', 0, 4)
    const length = /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : -1
    if (length < 0 || length === 3 || length > MAX_PKT_LENGTH) {
      throw new PktLineError(`expected a packet, got ${JSON.stringify(digits)}`)
    }
    return Math.max(length, 4)
  }

  /** Takes the packet of this length, all of which is there, off the buffer. */
  #take(length: number): Packet {
    const separator = length === 4 ? SEPARATORS[this.#buffer[3]! - ZERO] : undefined
    const payload = this.#buffer.subarray(4, length)
    this.#buffer = this.#buffer.subarray(length)
    return separator === undefined ? { type: 'data', payload } : { type: separator }
  }

  /** Whether `length` bytes could be gathered. */
  async #fill(length: number): Promise<boolean> {
    if (this.#buffer.length >= length) return true
    const parts = [this.#buffer]
    let gathered = this.#buffer.length
    while (gathered < length && !this.#ended) {
      const { done, value } = await this.#chunks.next()
      if (done) this.#ended = true
      else {
        parts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength))
        gathered += value.length
      }
    }
    this.#buffer = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    return gathered >= length
  }
}
