import { encodeFetch, isSelective, readFetch } from '../../git/protocol/client/fetch.ts'
import type { GreetingV2, RemoteRef } from '../../git/protocol/client/greeting.ts'
import { encodeLsRefs, MAX_REF_PREFIXES, readLsRefs } from '../../git/protocol/client/ls-refs.ts'
import type { OnProgress } from '../../git/protocol/client/side-band.ts'
import { isPackageHash, PACKAGE_REFS_PREFIX } from '../../git/refs/package-refs.ts'
import type { Patience, Traffic } from '../../git/transport/connection.ts'
import { RemoteProtocolError, RemoteUnreachableError } from '../../git/transport/errors.ts'
import { SshError } from '../../git/transport/ssh-errors.ts'
import type { FetchRequest, RemotePackage, RepositorySession } from '../../store/api.ts'
import { AbortedError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { throwIfAborted } from '../abort.ts'
import { type Conversation, closeOnAbort, type Negotiator, remoteError } from './conversation.ts'
import { packagesOf, RememberedPackages } from './package-refs.ts'

export interface SessionOptions {
  /** For messages. */
  readonly name: string
  readonly negotiator: Negotiator
  readonly patience: Patience
  readonly onProgress?: OnProgress
}

/**
 * A session over one connection as long as that serves: in version 2 commands follow one another on it; in version 0 each
 * fetch takes a new one, and the refs are those of the first.
 */
export class RemoteSession implements RepositorySession {
  readonly #options: SessionOptions
  readonly #traffic: Traffic = { received: 0, sent: 0 }
  #conversation: Conversation | undefined
  /** What a server of version 0 has; it told all at once. */
  #known: RememberedPackages | undefined
  #selective = false
  #isRunning = false
  #isClosed = false

  private constructor(options: SessionOptions) {
    this.#options = options
  }

  /** @throws GachixError that says why the remote cannot be reached */
  static async open(options: SessionOptions, { signal }: AbortOptions = {}): Promise<RemoteSession> {
    const session = new RemoteSession(options)
    const { greeting } = await session.#ready(signal)
    session.#selective = isSelective(greeting)
    return session
  }

  get selective(): boolean {
    return this.#selective
  }

  get bytesReceived(): number {
    return this.#traffic.received
  }

  get bytesSent(): number {
    return this.#traffic.sent
  }

  /** Version of Git's protocol that the server speaks. */
  get version(): 0 | 2 {
    return this.#known === undefined ? 2 : 0
  }

  async packages(
    hashes: readonly string[],
    { signal }: AbortOptions = {},
  ): Promise<ReadonlyMap<string, RemotePackage>> {
    const asked = new Set(hashes)
    for (const hash of asked) if (!isPackageHash(hash)) throw new RangeError(`no hash part: ${hash}`)
    const found = new Map<string, RemotePackage>()
    throwIfAborted(signal)
    if (asked.size === 0) return found
    if (this.#known !== undefined) {
      for (const hash of asked) {
        const remotePackage = this.#known.get(hash)
        if (remotePackage !== undefined) found.set(hash, remotePackage)
      }
      return found
    }
    const prefixes = [...asked].sort().map((hash) => `${PACKAGE_REFS_PREFIX}${hash}/`)
    for await (const remotePackage of packagesOf(this.#refs(prefixes, signal))) {
      // A server may send more than was asked for.
      if (asked.has(remotePackage.hash)) found.set(remotePackage.hash, remotePackage)
    }
    return found
  }

  async *list({ signal }: AbortOptions = {}): AsyncGenerator<RemotePackage, void> {
    if (this.#known !== undefined) yield* this.#known
    else yield* packagesOf(this.#refs([PACKAGE_REFS_PREFIX], signal))
  }

  async *fetch(request: FetchRequest, { signal }: AbortOptions = {}): AsyncGenerator<Uint8Array, void> {
    const { onProgress } = this.#options
    yield* this.#request(signal, async function* ({ connection, greeting }) {
      yield* readFetch(greeting, await connection.exchange(encodeFetch(greeting, request)), onProgress)
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const reason = this.#isRunning ? new AbortedError('the session was closed') : undefined
    await this.#conversation?.connection.close(reason)
    this.#conversation = undefined
  }

  /** In batches. Where commands may follow one another, all of them are sent before the first answer is there. */
  #refs(prefixes: readonly string[], signal: AbortSignal | undefined): AsyncGenerator<RemoteRef, void> {
    const batches: string[][] = []
    for (let at = 0; at < prefixes.length; at += MAX_REF_PREFIXES) {
      batches.push(prefixes.slice(at, at + MAX_REF_PREFIXES))
    }
    return this.#request(signal, async function* ({ connection, greeting }) {
      const { capabilities } = greeting as GreetingV2
      const requests = batches.map((batch) => encodeLsRefs(capabilities, batch))
      if (connection.stateless) {
        for (const request of requests) yield* readLsRefs(await connection.exchange([request]))
      } else {
        const reader = await connection.exchange(requests)
        for (const _ of requests) yield* readLsRefs(reader)
      }
    })
  }

  /** One request with its answer. A server that has ended since the last one is connected to again, once. */
  async *#request<T>(
    signal: AbortSignal | undefined,
    perform: (conversation: Conversation) => AsyncGenerator<T, void>,
  ): AsyncGenerator<T, void> {
    if (this.#isRunning) throw new Error('a session runs one request at a time')
    this.#isRunning = true
    try {
      for (;;) {
        const isReused = this.#conversation !== undefined
        const conversation = await this.#ready(signal)
        const before = this.#traffic.received
        const release = closeOnAbort(conversation.connection, signal)
        let isWhole = false
        try {
          yield* perform(conversation)
          isWhole = true
          return
        } catch (error) {
          const failure = remoteError(this.#options.name, error, signal)
          const isUnanswered = isReused && this.#traffic.received === before && !this.#isClosed
          if (!isUnanswered || !isLoss(failure)) throw failure
        } finally {
          release()
          if (!isWhole) await this.#drop(new AbortedError('the answer was not read to its end'))
          else if (conversation.greeting.version === 0 && !conversation.connection.stateless)
            await this.#drop()
        }
      }
    } finally {
      this.#isRunning = false
    }
  }

  /** The conversation that is there, or a new one. */
  async #ready(signal: AbortSignal | undefined): Promise<Conversation> {
    if (this.#isClosed) throw new RemoteUnreachableError(this.#options.name, 'the session was closed')
    throwIfAborted(signal)
    if (this.#conversation !== undefined) return this.#conversation
    const { name, negotiator, patience } = this.#options
    const context = { traffic: this.#traffic, patience, ...(signal === undefined ? {} : { signal }) }
    const conversation = await negotiator.open(context)
    const { connection, greeting } = conversation
    if (greeting.version === 0) {
      const release = closeOnAbort(connection, signal)
      try {
        // They have to be read before anything is sent, also when they are known.
        if (this.#known === undefined) this.#known = await RememberedPackages.read(greeting.refs)
        else for await (const _ of greeting.refs);
      } catch (error) {
        await connection.close(new AbortedError('the refs could not be read'))
        throw remoteError(name, error, signal)
      } finally {
        release()
      }
    }
    this.#conversation = conversation
    return conversation
  }

  async #drop(reason?: Error): Promise<void> {
    const conversation = this.#conversation
    this.#conversation = undefined
    await conversation?.connection.close(reason)
  }
}

/** Whether an error may be that of a server which had ended before it was asked. */
function isLoss(error: unknown): boolean {
  return (
    error instanceof RemoteProtocolError ||
    error instanceof RemoteUnreachableError ||
    error instanceof SshError
  )
}
