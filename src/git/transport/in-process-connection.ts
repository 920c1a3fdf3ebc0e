import { errorMessage } from '../../util/errors.ts'
import { AGENT } from '../protocol/client/capabilities.ts'
import { PktReader } from '../protocol/pkt-line.ts'
import { type OpenedUploadPack, openUploadPack } from '../protocol/upload-pack/open.ts'
import type { ConnectContext, GitConnection, Traffic } from './connection.ts'
import { RemoteRefusedError } from './errors.ts'

/** A conversation with our own server over a repository on this machine. Nothing is run for it. */
export class InProcessConnection implements GitConnection {
  /** The server keeps nothing between requests that the client would have to know of. */
  readonly stateless = true
  readonly greeting: PktReader
  readonly #opened: OpenedUploadPack
  readonly #traffic: Traffic
  readonly #ending = new AbortController()
  #answer: PktReader | undefined

  private constructor(opened: OpenedUploadPack, traffic: Traffic) {
    this.#opened = opened
    this.#traffic = traffic
    this.greeting = new PktReader(this.#received(opened.server.advertise(2, { signal: this.#ending.signal })))
  }

  /** @throws RemoteRefusedError when there is no repository that can be read */
  static async open(name: string, path: string, { traffic }: ConnectContext): Promise<InProcessConnection> {
    try {
      // What the server cannot do it also says in its answer.
      const opened = await openUploadPack(path, { agent: AGENT, onError: () => {} })
      return new InProcessConnection(opened, traffic)
    } catch (cause) {
      throw new RemoteRefusedError(name, errorMessage(cause), { cause })
    }
  }

  async exchange(request: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<PktReader> {
    const { signal } = this.#ending
    const answer = this.#opened.server.serve(this.#sent(request), { version: 2, stateless: true, signal })
    this.#answer = new PktReader(this.#received(answer))
    return this.#answer
  }

  async close(reason?: Error): Promise<void> {
    this.#ending.abort(reason)
    // One that was left in its middle still holds what it reads from.
    await this.#answer?.close().catch(() => {})
    await this.#opened.close()
  }

  async *#received(answer: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
    for await (const chunk of answer) {
      this.#traffic.received += chunk.length
      yield chunk
    }
  }

  async *#sent(request: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    for await (const piece of request) {
      this.#traffic.sent += piece.length
      yield piece
    }
  }
}
