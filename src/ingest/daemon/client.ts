import type { Duplex } from 'node:stream'
import { NarFormatError } from '../../nix/errors.ts'
import type { NarHandler } from '../../nix/nar/handler.ts'
import { NarReader } from '../../nix/nar/reader.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { abortedError, throwIfAborted } from '../abort.ts'
import type { Connect } from './connect.ts'
import { DaemonUnavailableError } from './errors.ts'
import { type DaemonHello, handshake } from './handshake.ts'
import { MAX, OP, STDERR } from './protocol.ts'
import { readError, readStderr } from './stderr.ts'
import { WireReader, WireWriter } from './wire.ts'

/** A path's registration as the daemon tells it: texts as they came. */
export interface DaemonPathInfo {
  /** Full store path, or empty. */
  readonly deriver: string
  /** Bare hex SHA-256. */
  readonly narHash: string
  readonly references: readonly string[]
  readonly narSize: number
  readonly signatures: readonly string[]
  /** Content address, or empty. */
  readonly ca: string
}

export interface DaemonClientOptions {
  /** Name of the daemon in messages. */
  readonly peer?: string
  /** Milliseconds for connecting and the handshake; default 5,000. */
  readonly connectTimeout?: number
  /** Milliseconds that an operation waits without receiving a byte; default 60,000. */
  readonly idleTimeout?: number
  /** Gets what the daemon says while it works, line by line without colours. */
  readonly onMessage?: (text: string) => void
}

/**
 * One connection to a Nix daemon. Operations go one after the other; starting one while another runs is a defect
 * of the caller. Whatever goes wrong in an operation (an abort as well) ends the connection, because nobody knows
 * then what of the answer is still under way; `usable` tells.
 *
 * Every operation throws `DaemonError` (the daemon refuses), `DaemonProtocolError`, `DaemonTimeoutError`,
 * `DaemonUnavailableError` (the connection is lost) or `AbortedError`.
 */
export class DaemonClient {
  readonly hello: DaemonHello
  readonly #stream: Duplex
  readonly #reader: WireReader
  readonly #onMessage: ((text: string) => void) | undefined
  #busy = false

  private constructor(stream: Duplex, reader: WireReader, hello: DaemonHello, options: DaemonClientOptions) {
    this.#stream = stream
    this.#reader = reader
    this.hello = hello
    this.#onMessage = options.onMessage
  }

  /** Connects and shakes hands. `connect` throws what it throws. */
  static async open(
    connect: Connect,
    options: DaemonClientOptions & AbortOptions = {},
  ): Promise<DaemonClient> {
    const { peer = 'the Nix daemon', connectTimeout = 5_000, idleTimeout = 60_000 } = options
    throwIfAborted(options.signal)
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), connectTimeout)
    const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal
    let stream: Duplex | undefined
    try {
      stream = await connect(signal)
      const reader = new WireReader(stream, { peer, idleTimeout })
      const abort = () => reader.fail(abortedError(signal))
      if (signal.aborted) abort()
      signal.addEventListener('abort', abort, { once: true })
      const hello = await handshake(reader, stream, options.onMessage)
      signal.removeEventListener('abort', abort)
      return new DaemonClient(stream, reader, hello, options)
    } catch (error) {
      stream?.destroy()
      if (options.signal?.aborted) throw abortedError(options.signal)
      if (late.signal.aborted) {
        throw new DaemonUnavailableError(`${peer} did not answer within ${connectTimeout / 1000} s`)
      }
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Whether the connection can take another operation. */
  get usable(): boolean {
    return !this.#busy && !this.#reader.ended && this.#reader.buffered === 0
  }

  /** Bytes that came in on this connection, the greeting's too. */
  get received(): number {
    return this.#reader.received
  }

  async isValidPath(path: string, options: AbortOptions = {}): Promise<boolean> {
    return this.#exchange(request(OP.isValidPath).string(path), options, () => this.#reader.bool())
  }

  /** Keeps the daemon's garbage collector from `path` until this connection ends. */
  async addTempRoot(path: string, options: AbortOptions = {}): Promise<void> {
    await this.#exchange(request(OP.addTempRoot).string(path), options, () => this.#reader.u64())
  }

  /** What is registered of `path`; `undefined` when it is not valid. */
  async queryPathInfo(path: string, options: AbortOptions = {}): Promise<DaemonPathInfo | undefined> {
    return this.#exchange(request(OP.queryPathInfo).string(path), options, async () => {
      const reader = this.#reader
      if (!(await reader.bool())) return undefined
      const deriver = await reader.string(MAX.path)
      const narHash = await reader.string(MAX.path)
      const references = await reader.strings(MAX.list, MAX.path)
      await reader.u64() // time of registration
      const narSize = await reader.u64()
      await reader.bool() // built here
      const signatures = await reader.strings(MAX.list, MAX.field)
      const ca = await reader.string(MAX.field)
      return { deriver, narHash, references, narSize, signatures, ca }
    })
  }

  /** The full path whose hash part is `hash` (32 characters); `undefined` when none is valid. */
  async queryPathFromHashPart(hash: string, options: AbortOptions = {}): Promise<string | undefined> {
    const path = await this.#exchange(request(OP.queryPathFromHashPart).string(hash), options, () =>
      this.#reader.string(MAX.path),
    )
    return path === '' ? undefined : path
  }

  /** Those of `paths` that are valid, in the daemon's order. */
  async queryValidPaths(paths: readonly string[], options: AbortOptions = {}): Promise<string[]> {
    const query = request(OP.queryValidPaths).strings(paths)
    if (this.hello.minor >= 27) query.bool(false) // do not substitute
    return this.#exchange(query, options, () => this.#reader.strings(paths.length, MAX.path))
  }

  /**
   * The NAR of a valid path, in chunks as they come; the daemon is held back while the consumer is slow. The
   * protocol does not say how long it is, so it is parsed for its end. Leaving the loop early ends the
   * connection.
   *
   * @throws GachixError also what the NAR reader throws for something that is no NAR
   */
  async *narFromPath(path: string, options: AbortOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const release = this.#begin(options)
    let complete = false
    try {
      await this.#send(request(OP.narFromPath).string(path))
      const nar = new NarReader(IGNORE)
      while (!nar.done) {
        const chunk = await this.#reader.peek()
        const start = nar.position
        let used: number
        try {
          used = nar.push(chunk)
        } catch (error) {
          throw await this.#narFault(error, start)
        }
        this.#reader.consume(used)
        if (used > 0) yield chunk.subarray(0, used)
      }
      complete = true
    } finally {
      release()
      if (!complete) this.close()
    }
  }

  /** Ends the connection; what runs on it fails. */
  close(): void {
    this.#reader.fail(new DaemonUnavailableError(`the connection to ${this.#reader.peer} is closed`))
    this.#stream.destroy()
  }

  /**
   * A daemon that fails while it writes a NAR (it notices a missing path only then) puts an error record where
   * the next part of the NAR belongs. Where it is inside a file's contents nothing tells it apart, and the
   * daemon's hanging up is the error.
   *
   * @param start position in the NAR of the first byte that is not consumed
   */
  async #narFault(error: unknown, start: number): Promise<unknown> {
    if (!(error instanceof NarFormatError) || error.offset < start) return error
    this.#reader.consume(error.offset - start)
    try {
      if ((await this.#reader.u64()) !== STDERR.error) return error
    } catch {
      return error
    }
    return readError(this.#reader, this.hello.minor)
  }

  /** One operation with a result that is read in whole. */
  async #exchange<T>(query: WireWriter, options: AbortOptions, read: () => T | Promise<T>): Promise<T> {
    const release = this.#begin(options)
    try {
      await this.#send(query)
      return await read()
    } catch (error) {
      this.close()
      throw error
    } finally {
      release()
    }
  }

  /** Sends a request and reads what comes before its result. */
  #send(query: WireWriter): Promise<void> {
    this.#stream.write(query.finish())
    return readStderr(this.#reader, { minor: this.hello.minor, onMessage: this.#onMessage })
  }

  /**
   * Takes the connection for one operation and has `signal` end it; the function that is returned gives it back.
   */
  #begin({ signal }: AbortOptions): () => void {
    throwIfAborted(signal)
    if (this.#busy) throw new Error('two operations at once on one connection to a Nix daemon')
    if (this.#reader.buffered > 0) {
      this.close()
      throw this.#reader.protocolError('bytes after the end of an answer')
    }
    this.#busy = true
    const abort = () => {
      this.#reader.fail(abortedError(signal as AbortSignal))
      this.#stream.destroy()
    }
    signal?.addEventListener('abort', abort, { once: true })
    return () => {
      this.#busy = false
      signal?.removeEventListener('abort', abort)
    }
  }
}

const nothing = (): void => {}

/** Only a NAR's end is looked for here. */
const IGNORE: NarHandler = {
  directoryStart: nothing,
  entry: nothing,
  directoryEnd: nothing,
  fileStart: nothing,
  fileData: nothing,
  fileEnd: nothing,
  symlink: nothing,
}

function request(operation: number): WireWriter {
  return new WireWriter().u64(operation)
}
