/**
 * Messages over one libp2p stream, with what libp2p's streams lack: backpressure in both directions, and an end that says
 * whether it was one.
 *
 * A `for await` over a stream queues without bound, and ends without an error when the connection is lost. `onDrain()`
 * works once. `pause()` called while data is handed out resets the stream. So this listens to the events itself.
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { type Codec, delimit, MessageError, MessageSplitter } from '../../../protocol/index.ts'
import { AbortedError, errorMessage } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { PeerProtocolError, PeerUnreachableError } from '../errors.ts'
import { releaseAlone } from './release.ts'

/** Bytes that a waiting message takes beside its own: many short ones must not cost more than a few long ones. */
const MESSAGE_OVERHEAD = 128
/** Bytes of messages that wait to be read; then the other side is held back. More than a transfer's credit, which never gets here. */
const READ_HIGH_WATER = 3 * 1024 * 1024
/** With so few waiting it goes on. */
const READ_LOW_WATER = 256 * 1024
/** Milliseconds that closing may take before the stream is reset. */
const CLOSE_TIMEOUT = 2000

export interface ChannelInit {
  readonly stream: Stream
  /** The other side, for messages. */
  readonly peer: string
  /** Bytes of the longest message that may come. */
  readonly maxMessage: number
  /** Told of every byte that comes and goes. */
  readonly count?: (received: number, sent: number) => void
  /** Told once, when the channel is of no use any more before its end. */
  readonly onFailure?: () => void
}

export class Channel {
  readonly peer: string
  readonly #stream: Stream
  readonly #splitter: MessageSplitter
  readonly #count: (received: number, sent: number) => void
  readonly #onFailure: () => void
  #messages: Uint8Array[] = []
  #waiting = 0
  /** The other side has closed its direction. */
  #remoteClosed = false
  /** And all that it said has come. */
  #ended = false
  #failure: Error | undefined
  #wakeReader: (() => void) | undefined
  #wakeWriter: (() => void) | undefined

  constructor({ stream, peer, maxMessage, count = () => {}, onFailure = () => {} }: ChannelInit) {
    this.#stream = stream
    this.peer = peer
    this.#splitter = new MessageSplitter('message', maxMessage, releaseAlone)
    this.#count = count
    this.#onFailure = onFailure
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('remoteCloseWrite', this.#onRemoteClose)
    stream.addEventListener('close', this.#onClose)
    stream.addEventListener('drain', this.#onDrain)
    if (stream.remoteWriteStatus === 'closed') this.#onRemoteClose()
    if (stream.status !== 'open' && stream.status !== 'closing') this.#fail(this.#lost())
  }

  /** Why the channel is of no use any more; `undefined` while it is. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /**
   * The next message; `undefined` when the other side has said all. What came before a failure is given before it is
   * thrown.
   *
   * @throws PeerUnreachableError when the connection is lost or the other side resets the stream
   * @throws PeerProtocolError when what comes is no message
   * @throws AbortedError
   */
  async read(options: AbortOptions = {}): Promise<Uint8Array | undefined> {
    for (;;) {
      const message = this.#messages.shift()
      if (message !== undefined) {
        this.#waiting -= message.length + MESSAGE_OVERHEAD
        if (this.#waiting <= READ_LOW_WATER) this.#resume()
        return message
      }
      if (this.#failure !== undefined) throw this.#failure
      if (this.#ended) return undefined
      await this.#sleep((wake) => {
        this.#wakeReader = wake
      }, options.signal)
    }
  }

  /**
   * The next message, decoded.
   *
   * @throws what `read` throws; PeerProtocolError when there is none, or it is no such message
   */
  async receive<T>(codec: Codec<T>, options: AbortOptions = {}): Promise<T> {
    const message = await this.read(options)
    if (message === undefined) {
      throw new PeerProtocolError(`the peer ${this.peer} ended a stream without the ${codec.name}`)
    }
    return this.decode(codec, message)
  }

  /** @throws PeerProtocolError */
  decode<T>(codec: Codec<T>, message: Uint8Array): T {
    try {
      return codec.decode(message)
    } catch (error) {
      throw this.#broken(error)
    }
  }

  /** Sends one message; see `write`. */
  async send<T>(codec: Codec<T>, message: T, options: AbortOptions = {}): Promise<void> {
    await this.write(delimit(codec.encode(message)), options)
  }

  /**
   * Sends bytes, and resolves when more can be sent. They must not be changed afterwards.
   *
   * @throws PeerUnreachableError, AbortedError
   */
  async write(bytes: Uint8Array, options: AbortOptions = {}): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const { length } = bytes
    let more: boolean
    try {
      more = this.#stream.send(bytes)
    } catch (error) {
      throw new PeerUnreachableError(`cannot send to the peer ${this.peer}: ${errorMessage(error)}`, {
        cause: error,
      })
    }
    this.#count(0, length)
    while (!more && this.#stream.writableNeedsDrain) {
      if (this.#failure !== undefined) throw this.#failure
      await this.#sleep((wake) => {
        this.#wakeWriter = wake
      }, options.signal)
    }
  }

  /** Says that nothing more is to be sent, and waits until it is. The other side can go on sending. */
  async end(): Promise<void> {
    await this.#stream.close({ signal: AbortSignal.timeout(CLOSE_TIMEOUT) }).catch((error: Error) => {
      this.abort(error)
    })
  }

  /** Drops the stream; what waits on it fails. Does nothing when it is closed. */
  abort(error: Error): void {
    this.#fail(error)
    this.#stream.abort(error)
  }

  /**
   * Lets the stream go after a conversation that has come to its end: says so, waits a moment for the other side to say the
   * same, and resets the stream when it does not. Never throws.
   */
  async close(): Promise<void> {
    if (this.#failure === undefined) await this.end()
    const deadline = AbortSignal.timeout(CLOSE_TIMEOUT)
    try {
      while (!this.#ended && this.#failure === undefined) {
        await this.#sleep((wake) => {
          this.#wakeReader = wake
        }, deadline)
      }
    } catch {
      // The stream has been reset.
    }
    this.#detach()
  }

  readonly #onMessage = ({ data }: StreamMessageEvent): void => {
    if (this.#failure !== undefined) return
    this.#count(data.byteLength, 0)
    try {
      for (const piece of data instanceof Uint8Array ? [data] : data) {
        for (const message of this.#splitter.push(piece)) {
          this.#messages.push(message)
          this.#waiting += message.length + MESSAGE_OVERHEAD
        }
      }
    } catch (error) {
      this.abort(this.#broken(error))
      return
    }
    if (this.#waiting > READ_HIGH_WATER) queueMicrotask(() => this.#pause())
    // The stream's own event of its end comes once, perhaps before libp2p puts back what it read while it negotiated.
    if (this.#remoteClosed) this.#endWhenEmpty()
    this.#wakeReader?.()
  }

  /** The other side has said all, but some of it may wait in the stream. */
  readonly #onRemoteClose = (): void => {
    this.#remoteClosed = true
    this.#endWhenEmpty()
  }

  /** A lost connection comes without an error, and looks like an end but for the missing `remoteCloseWrite`. */
  readonly #onClose = ({ error }: StreamCloseEvent): void => {
    if (error !== undefined || !this.#remoteClosed) this.#fail(this.#lost(error))
    else if (this.#stream.readBufferLength > 0) return
    this.#detach()
  }

  readonly #onDrain = (): void => {
    this.#wakeWriter?.()
  }

  #endWhenEmpty(): void {
    if (this.#ended || this.#stream.readBufferLength > 0) return
    if (this.#splitter.between) this.#ended = true
    else this.#fail(new PeerProtocolError(`the peer ${this.peer} ended a stream within a message`))
    this.#wakeReader?.()
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#wakeReader?.()
    this.#wakeWriter?.()
    this.#onFailure()
  }

  #lost(cause?: Error): PeerUnreachableError {
    return new PeerUnreachableError(
      `the stream to the peer ${this.peer} was lost${cause === undefined ? '' : `: ${cause.message}`}`,
      { cause },
    )
  }

  #broken(error: unknown): Error {
    if (!(error instanceof MessageError)) throw error
    return new PeerProtocolError(`the peer ${this.peer} broke the protocol: ${error.message}`, {
      cause: error,
    })
  }

  #pause(): void {
    if (this.#stream.readStatus === 'readable' && this.#waiting > READ_HIGH_WATER) this.#stream.pause()
  }

  #resume(): void {
    if (this.#stream.readStatus === 'paused') this.#stream.resume()
  }

  #detach(): void {
    this.#stream.removeEventListener('message', this.#onMessage)
    this.#stream.removeEventListener('remoteCloseWrite', this.#onRemoteClose)
    this.#stream.removeEventListener('close', this.#onClose)
    this.#stream.removeEventListener('drain', this.#onDrain)
  }

  /** Waits until whoever got the function calls it. */
  #sleep(register: (wake: () => void) => void, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        const error = new AbortedError()
        this.abort(error)
        reject(error)
      }
      if (signal?.aborted) {
        abort()
        return
      }
      signal?.addEventListener('abort', abort, { once: true })
      register(() => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
    })
  }
}
