import type { IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { errorCode, errorMessage, GachixError } from '../../util/errors.ts'
import { Agent as HttpAgent, request as requestHttp } from '../../util/http-module.ts'
import { VERSION } from '../../util/version.ts'
import { abortedError, throwIfAborted } from '../abort.ts'
import { UpstreamInvalidError, UpstreamTimeoutError, UpstreamUnreachableError } from './errors.ts'

/** Connections to one cache. */
const MAX_CONNECTIONS = 8
/** Milliseconds for a connection, with the TLS handshake. */
const CONNECT_TIMEOUT = 5_000
/** Milliseconds from a connection to the head of the answer. */
const HEAD_TIMEOUT = 10_000
/** Milliseconds without a byte of a body. */
const STALL_TIMEOUT = 10_000
/** A body that makes us wait this many milliseconds for `SLOW_BYTES` is not worth waiting for. */
const SLOW_TIMEOUT = 30_000
/** Bytes that a slow body has to give in that time. */
const SLOW_BYTES = 32 * 1024
/** Redirections that are followed. */
const MAX_REDIRECTS = 5
/** Bytes of an answer that nobody wants which are read to keep its connection. */
const MAX_DISCARDED = 64 * 1024

/** Patience with a cache, in milliseconds; what is absent is as the constants say. */
export interface HttpTimeouts {
  readonly connect?: number
  readonly head?: number
  readonly stall?: number
  readonly slow?: number
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What a request is made of, beside its URL. */
export interface HttpRequest {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

/**
 * GET requests to one binary cache, with a bound on everything that it can make us wait for. Bodies come as they were
 * sent, without any decoding.
 */
export class HttpClient {
  readonly #name: string
  readonly #origin: string
  readonly #authorization: string | undefined
  readonly #timeouts: Required<HttpTimeouts>
  readonly #agents = {
    'http:': new HttpAgent({ keepAlive: true, maxSockets: MAX_CONNECTIONS }),
    'https:': new HttpsAgent({ keepAlive: true, maxSockets: MAX_CONNECTIONS }),
  }

  /**
   * @param name of the cache, for messages
   * @param origin to which alone `authorization` is sent
   */
  constructor(name: string, origin: string, authorization?: string, timeouts: HttpTimeouts = {}) {
    this.#timeouts = {
      ...{ connect: CONNECT_TIMEOUT, head: HEAD_TIMEOUT, stall: STALL_TIMEOUT, slow: SLOW_TIMEOUT },
      ...timeouts,
    }
    this.#name = name
    this.#origin = origin
    this.#authorization = authorization
  }

  /**
   * The head of an answer that is no redirection; its body waits and has to be read, or given to `discard`.
   *
   * @throws UpstreamUnreachableError, UpstreamTimeoutError
   * @throws UpstreamInvalidError for redirections without end or to where nothing may be fetched from
   * @throws AbortedError when the signal fires, also while the body is read
   */
  async get(url: URL, request: HttpRequest = {}): Promise<IncomingMessage> {
    for (let hops = 0; ; hops++) {
      const response = await this.#send(url, request)
      const { location } = response.headers
      if (!REDIRECTS.has(response.statusCode ?? 0) || location === undefined) return response
      this.discard(response)
      if (hops === MAX_REDIRECTS) {
        throw new UpstreamInvalidError(this.#name, `it redirects more than ${MAX_REDIRECTS} times`)
      }
      url = this.#redirected(url, location)
    }
  }

  /** The body of an answer. Leaving the loop early ends the connection. Throws as `get` does. */
  async *body(response: IncomingMessage, signal?: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    const { stall, slow } = this.#timeouts
    let waited = 0
    let bytes = 0
    try {
      for (;;) {
        const start = performance.now()
        const timer = setTimeout(() => response.destroy(this.#timeout('nothing', stall)), stall)
        const { done, value } = await chunks.next().finally(() => clearTimeout(timer))
        if (done === true) return
        waited += performance.now() - start
        bytes += value.length
        if (bytes >= SLOW_BYTES) waited = bytes = 0
        else if (waited > slow) throw this.#timeout(`no more than ${bytes} bytes`, slow)
        yield value
      }
    } catch (error) {
      throw this.#explain(error, signal)
    } finally {
      response.destroy()
    }
  }

  /** Reads what nobody wants where that is little, so that the connection can be used again. */
  discard(response: IncomingMessage): void {
    const read = async () => {
      let bytes = 0
      for await (const chunk of this.body(response)) {
        bytes += chunk.length
        if (bytes > MAX_DISCARDED) return
      }
    }
    read().catch(() => {})
  }

  /** Ends all connections. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  async #send(url: URL, request: HttpRequest): Promise<IncomingMessage> {
    for (;;) {
      throwIfAborted(request.signal)
      try {
        return await this.#attempt(url, request)
      } catch (error) {
        // A kept connection that the server had closed meanwhile: the request was not seen.
        if (!(error instanceof StaleConnection)) throw this.#explain(error, request.signal)
      }
    }
  }

  #attempt(url: URL, { headers, signal }: HttpRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const isHttps = url.protocol === 'https:'
      const sent = (isHttps ? requestHttps : requestHttp)(url, {
        agent: this.#agents[isHttps ? 'https:' : 'http:'],
        headers: {
          'User-Agent': `gachix/${VERSION}`,
          'Accept-Encoding': 'identity',
          ...headers,
          ...(this.#authorization !== undefined &&
            url.origin === this.#origin && { Authorization: this.#authorization }),
        },
        ...(signal && { signal }),
      })
      const timers: NodeJS.Timeout[] = []
      const limit = (what: string, time: number) => {
        const timer = setTimeout(() => sent.destroy(this.#timeout(what, time)), time)
        timers.push(timer)
        return timer
      }
      sent.once('socket', (socket) => {
        limit('no answer', this.#timeouts.head)
        if (!socket.connecting) return
        const timer = limit('no connection', this.#timeouts.connect)
        socket.once(isHttps ? 'secureConnect' : 'connect', () => clearTimeout(timer))
      })
      sent.once('response', (response) => {
        timers.forEach(clearTimeout)
        resolve(response)
      })
      sent.once('error', (error) => {
        timers.forEach(clearTimeout)
        const stale = sent.reusedSocket && errorCode(error) === 'ECONNRESET'
        reject(stale ? new StaleConnection() : error)
      })
      sent.end()
    })
  }

  #redirected(from: URL, location: string): URL {
    const url = URL.parse(location, from.href)
    const allowed = from.protocol === 'https:' ? ['https:'] : ['http:', 'https:']
    if (url !== null && allowed.includes(url.protocol) && url.username === '' && url.password === '')
      return url
    throw new UpstreamInvalidError(this.#name, 'it redirects to where nothing may be fetched from')
  }

  #timeout(what: string, time: number): UpstreamTimeoutError {
    return new UpstreamTimeoutError(this.#name, `${what} within ${time / 1000} s`)
  }

  #explain(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return abortedError(signal)
    if (error instanceof GachixError) return error
    // A host with several addresses gives an error for each.
    const cause = error instanceof AggregateError ? error.errors[0] : error
    return new UpstreamUnreachableError(this.#name, `the connection failed (${errorMessage(cause)})`, {
      cause: error,
    })
  }
}

/** Marks a request that has to be made again. */
class StaleConnection extends Error {}
