import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { FLUSH_PKT, PktReader } from '../protocol/pkt-line.ts'
import type { ConnectContext, GitConnection, Patience, Traffic } from './connection.ts'
import { RemoteTimeoutError } from './errors.ts'
import { readPatiently } from './patient-reading.ts'

/** Milliseconds that a server gets to end by itself when we are done. */
const FAREWELL = 1000

/** A conversation over one stream of bytes in each direction: what SSH and local processes have. */
export class StreamConnection implements GitConnection {
  readonly stateless = false
  readonly greeting: PktReader
  readonly #stream: Duplex
  readonly #name: string
  readonly #traffic: Traffic
  readonly #patience: Patience
  readonly #closed: Promise<unknown>
  #isFirst = true
  #sending: Promise<void> = Promise.resolve()

  /** @param stream fails with an error that can be shown; `close` comes when nothing of it is left */
  constructor(name: string, stream: Duplex, context: ConnectContext) {
    this.#name = name
    this.#stream = stream
    this.#traffic = context.traffic
    this.#patience = context.patience
    // Whoever reads meets the error; when nobody does, it must not end the process.
    stream.on('error', () => {})
    this.#closed = new Promise((resolve) => stream.once('close', resolve))
    this.greeting = new PktReader(this.#chunks())
  }

  async exchange(request: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<PktReader> {
    await this.#sending
    this.#isFirst = true
    this.#sending = this.#send(request)
    return this.greeting
  }

  async close(reason?: Error): Promise<void> {
    const stream = this.#stream
    if (reason === undefined && !stream.destroyed && !stream.writableEnded) {
      stream.end(FLUSH_PKT)
      const ended = Promise.all([this.#closed, this.#readToEnd()])
      await Promise.race([ended, delay(FAREWELL, undefined, { ref: false })])
    }
    stream.destroy(reason)
    await this.#closed
  }

  /** A stream ends only once it is read. */
  async #readToEnd(): Promise<void> {
    try {
      for await (const _ of this.greeting.rest());
    } catch {
      // How a server ends that we have no more questions to is of no interest.
    }
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void> {
    const stream = this.#stream
    const waits = {
      limit: () => (this.#isFirst ? this.#patience.firstByte : this.#patience.stall),
      exceeded: (ms: number) => stream.destroy(new RemoteTimeoutError(this.#name, 'said nothing', ms)),
    }
    for await (const chunk of readPatiently(stream, waits, this.#traffic)) {
      this.#isFirst = false
      yield chunk
    }
  }

  async #send(request: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const piece of request) {
        if (this.#stream.destroyed) return
        this.#traffic.sent += piece.length
        if (!this.#stream.write(piece)) await this.#drained()
      }
    } catch (error) {
      this.#stream.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }

  async #drained(): Promise<void> {
    const { stall } = this.#patience
    const waiting = new AbortController()
    const timer = setTimeout(
      () => this.#stream.destroy(new RemoteTimeoutError(this.#name, 'took no more of a request', stall)),
      stall,
    )
    await Promise.race([
      once(this.#stream, 'drain', { signal: waiting.signal }).catch(() => {}),
      this.#closed,
    ])
    clearTimeout(timer)
    waiting.abort()
  }
}
