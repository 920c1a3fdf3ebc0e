/**
 * The primitives of Nix's worker protocol (NAR uses the same): every integer and boolean is a u64 in little
 * endian, a string is its length, its bytes and zeros up to a multiple of 8, a list is its count and its items.
 */
import type { Readable } from 'node:stream'
import { GachixError } from '../../util/errors.ts'
import { DaemonProtocolError, DaemonTimeoutError, DaemonUnavailableError } from './errors.ts'

/** Bytes that may wait in the reader before the stream is paused. */
const HIGH_WATER_MARK = 256 * 1024

/** Characters that the strings of one list may have in all. */
const MAX_LIST_LENGTH = 16 * 1024 * 1024

const EMPTY = Buffer.alloc(0)
const PADDING = Buffer.alloc(8)

export interface WireReaderInit {
  /** Name of the other side for messages, for instance `local daemon (/path/socket)`. */
  readonly peer: string
  /** How long a read waits without receiving a single byte, in milliseconds. */
  readonly idleTimeout: number
}

interface Waiter {
  readonly bytes: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * Reads primitives from a stream. A primitive whose bytes are here already is returned at once, otherwise as a
 * promise, so callers `await` every result. One read at a time. The stream is paused while enough is buffered, so
 * memory is bounded by the high-water mark, one chunk of the stream and the longest string that a caller allows.
 *
 * Every read throws the error that the reader was failed with, `DaemonUnavailableError` when the stream ended
 * before the bytes came, `DaemonTimeoutError` when none came in time and `DaemonProtocolError` for what breaks
 * the format.
 */
export class WireReader {
  readonly peer: string
  /** Bytes that came in since the reader was made. */
  received = 0
  readonly #stream: Readable
  readonly #idleTimeout: number
  readonly #chunks: Buffer[] = []
  /** What is left of the chunk that is being read. */
  #head: Buffer = EMPTY
  #buffered = 0
  #paused = false
  #failure: Error | undefined
  #waiter: Waiter | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(stream: Readable, init: WireReaderInit) {
    this.#stream = stream
    this.peer = init.peer
    this.#idleTimeout = init.idleTimeout
    stream.on('data', (chunk: Uint8Array) => this.#receive(chunk))
    stream.on('error', (error: Error) => this.#end(error))
    stream.on('end', () => this.#end())
    stream.on('close', () => this.#end())
  }

  /** Bytes that are here and not read yet. */
  get buffered(): number {
    return this.#buffered
  }

  /** Whether nothing more will come. */
  get ended(): boolean {
    return this.#failure !== undefined
  }

  /** Ends the reader: what waits now and every read that needs more than is buffered throws `error`. */
  fail(error: Error): void {
    this.#failure = error
    this.#chunks.length = 0
    this.#head = EMPTY
    this.#buffered = 0
    this.#settle()
  }

  /** An unsigned integer up to 2^53-1; more is a `DaemonProtocolError`. */
  u64(): number | Promise<number> {
    return this.#buffered >= 8 ? this.#takeU64() : this.#fill(8).then(() => this.#takeU64())
  }

  /** A boolean, which is 0 or 1. */
  bool(): boolean | Promise<boolean> {
    const value = this.u64()
    return typeof value === 'number' ? this.#toBool(value) : value.then((number) => this.#toBool(number))
  }

  /** A string's bytes. `max` is the greatest length that is accepted; nothing is kept for a longer one. */
  bytes(max: number): Buffer | Promise<Buffer> {
    const length = this.u64()
    return typeof length === 'number' ? this.#bytes(length, max) : length.then((n) => this.#bytes(n, max))
  }

  /** A string of at most `max` bytes, read as UTF-8 (what is none becomes U+FFFD). */
  string(max: number): string | Promise<string> {
    const bytes = this.bytes(max)
    return bytes instanceof Promise ? bytes.then((b) => b.toString('utf8')) : bytes.toString('utf8')
  }

  /** A list of at most `maxCount` strings of at most `max` bytes each. */
  async strings(maxCount: number, max: number): Promise<string[]> {
    const count = await this.u64()
    if (count > maxCount) throw this.protocolError(`a list of ${count} strings where ${maxCount} are allowed`)
    const list: string[] = []
    let length = 0
    for (let i = 0; i < count; i++) {
      const item = this.string(max)
      const text = typeof item === 'string' ? item : await item
      length += text.length
      if (length > MAX_LIST_LENGTH)
        throw this.protocolError(`a list of strings with more than ${MAX_LIST_LENGTH} characters`)
      list.push(text)
    }
    return list
  }

  /** Bytes as they came, at least one, without reading them; `consume` reads. */
  async peek(): Promise<Buffer> {
    if (this.#buffered === 0) await this.#fill(1)
    if (this.#head.length === 0) this.#head = this.#chunks.shift() ?? EMPTY
    return this.#head
  }

  /** Reads the first `count` bytes of what `peek` gave. */
  consume(count: number): void {
    this.#head = this.#head.subarray(count)
    this.#drop(count)
  }

  /** An error for what this peer sent. */
  protocolError(what: string, options?: ErrorOptions): DaemonProtocolError {
    return new DaemonProtocolError(`${this.peer} broke the worker protocol: ${what}`, options)
  }

  #bytes(length: number, max: number): Buffer | Promise<Buffer> {
    if (length > max) throw this.protocolError(`a string of ${length} bytes where ${max} are allowed`)
    const padded = Math.ceil(length / 8) * 8
    if (this.#buffered >= padded) return this.#takePadded(length, padded)
    return this.#fill(padded).then(() => this.#takePadded(length, padded))
  }

  #takePadded(length: number, padded: number): Buffer {
    const bytes = this.#take(padded)
    for (let i = length; i < padded; i++) {
      if (bytes[i] !== 0) throw this.protocolError('a string with padding that is not zero')
    }
    return bytes.subarray(0, length)
  }

  #toBool(value: number): boolean {
    if (value > 1) throw this.protocolError(`${value} where a boolean belongs`)
    return value === 1
  }

  #takeU64(): number {
    if (this.#head.length < 8) return this.#toNumber(this.#take(8))
    const value = this.#toNumber(this.#head)
    this.consume(8)
    return value
  }

  #toNumber(bytes: Buffer): number {
    const high = bytes.readUInt32LE(4)
    if (high >= 0x20_0000) throw this.protocolError('an integer above 2^53')
    return high * 0x1_0000_0000 + bytes.readUInt32LE(0)
  }

  /** `count` bytes that are known to be here. */
  #take(count: number): Buffer {
    if (this.#head.length < count) this.#head = this.#gather(count)
    const bytes = this.#head.subarray(0, count)
    this.consume(count)
    return bytes
  }

  /** The head and as many chunks after it as make up `count` bytes, as one. */
  #gather(count: number): Buffer {
    const parts = [this.#head]
    let length = this.#head.length
    while (length < count) {
      const chunk = this.#chunks.shift() as Buffer
      parts.push(chunk)
      length += chunk.length
    }
    return parts.length === 2 && parts[0]?.length === 0 ? (parts[1] as Buffer) : Buffer.concat(parts, length)
  }

  #drop(count: number): void {
    this.#buffered -= count
    if (this.#paused && this.#buffered < HIGH_WATER_MARK / 2) this.#resume()
  }

  #resume(): void {
    this.#paused = false
    this.#stream.resume()
  }

  #receive(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return
    this.#chunks.push(
      Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length),
    )
    this.#buffered += chunk.length
    this.received += chunk.length
    const waiter = this.#waiter
    if (waiter === undefined) {
      if (this.#buffered >= HIGH_WATER_MARK) this.#pause()
    } else if (this.#buffered >= waiter.bytes) {
      if (this.#buffered >= HIGH_WATER_MARK) this.#pause()
      this.#settle()
    } else {
      this.#timer?.refresh()
    }
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#stream.pause()
  }

  #end(cause?: Error): void {
    // A transport that knows what happened says it better.
    this.#failure ??=
      cause instanceof GachixError
        ? cause
        : new DaemonUnavailableError(
            `${this.peer} closed the connection before it had answered; its log tells why`,
            cause && { cause },
          )
    this.#settle()
  }

  #settle(): void {
    const waiter = this.#waiter
    if (waiter === undefined) return
    this.#waiter = undefined
    clearTimeout(this.#timer)
    if (this.#buffered >= waiter.bytes) waiter.resolve()
    else waiter.reject(this.#failure as Error)
  }

  /** Waits until `count` bytes are here. */
  #fill(count: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#waiter !== undefined) return Promise.reject(new Error('two reads at once on one connection'))
    if (this.#paused) this.#resume()
    return new Promise((resolve, reject) => {
      this.#waiter = { bytes: count, resolve, reject }
      this.#timer = setTimeout(() => {
        this.fail(
          new DaemonTimeoutError(
            `${this.peer} sent nothing for ${this.#idleTimeout / 1000} s in the middle of an answer`,
          ),
        )
      }, this.#idleTimeout)
    })
  }
}

/** Collects one request. */
export class WireWriter {
  readonly #parts: Uint8Array[] = []

  u64(value: number): this {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(BigInt(value))
    this.#parts.push(bytes)
    return this
  }

  bool(value: boolean): this {
    return this.u64(value ? 1 : 0)
  }

  string(text: string): this {
    const bytes = Buffer.from(text, 'utf8')
    this.u64(bytes.length)
    this.#parts.push(bytes, PADDING.subarray(0, -bytes.length & 7))
    return this
  }

  strings(list: readonly string[]): this {
    this.u64(list.length)
    for (const text of list) this.string(text)
    return this
  }

  /** The request's bytes. */
  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
