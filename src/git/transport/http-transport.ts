/** Git's smart HTTP protocol (gitprotocol-http): one request for the greeting, and one for each command. */
import { AbortedError, errorMessage, GachixError } from '../../util/errors.ts'
import { PktReader } from '../protocol/pkt-line.ts'
import type { ConnectContext, GitConnection, GitService, GitTransport, VersionRequest } from './connection.ts'
import {
  RemoteProtocolError,
  RemoteRefusedError,
  RemoteTimeoutError,
  RemoteUnreachableError,
} from './errors.ts'
import { httpBody, type RequestBody } from './http-body.ts'
import { readPatiently } from './patient-reading.ts'
import type { HttpUrl } from './remote-url.ts'

/** Redirections that are followed, all of them before the first answer. */
export const MAX_REDIRECTS = 5

/** A repository behind a web server. */
export class HttpTransport implements GitTransport {
  readonly kind = 'http'
  readonly name: string
  readonly versionRequests = ['announced'] as const
  readonly #url: HttpUrl

  constructor(url: HttpUrl) {
    this.name = url.display
    this.#url = url
  }

  async connect(
    service: GitService,
    version: VersionRequest,
    context: ConnectContext,
  ): Promise<GitConnection> {
    const connection = new HttpConnection(this.#url, service, version, context)
    await connection.open(context.signal)
    return connection
  }
}

class HttpConnection implements GitConnection {
  readonly stateless = true
  readonly #name: string
  readonly #service: GitService
  readonly #headers: Record<string, string>
  readonly #context: ConnectContext
  /** The one server that is told the credentials. */
  readonly #origin: string
  readonly #credentials: string | undefined
  readonly #ending = new AbortController()
  #base: string
  #greeting: PktReader | undefined

  constructor(url: HttpUrl, service: GitService, version: VersionRequest, context: ConnectContext) {
    this.#name = url.display
    this.#base = url.base
    this.#origin = new URL(url.base).origin
    this.#credentials = url.credentials
    this.#service = service
    this.#context = context
    // Uncompressed: packs are, ids cannot be, and so nothing can be inflated to more than it is.
    this.#headers = { 'accept-encoding': 'identity', 'user-agent': 'git/gachix' }
    if (version !== 'none') this.#headers['git-protocol'] = 'version=2'
  }

  get greeting(): PktReader {
    if (this.#greeting === undefined) throw new Error('the connection is not open')
    return this.#greeting
  }

  async open(signal: AbortSignal | undefined): Promise<void> {
    const abort = () => this.#ending.abort(new AbortedError(undefined, { cause: signal?.reason }))
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const suffix = `/info/refs?service=${this.#service}`
      const { response, url } = await this.#follow(`${this.#base}${suffix}`)
      if (!url.endsWith(suffix)) {
        throw new RemoteRefusedError(this.#name, `it is redirected to a URL of another form, ${plain(url)}`)
      }
      this.#base = url.slice(0, -suffix.length)
      this.#greeting = this.#reader(response, 'advertisement')
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async exchange(request: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<PktReader> {
    const { traffic } = this.#context
    let failure: { readonly error: unknown } | undefined
    async function* pieces(): AsyncGenerator<Uint8Array> {
      try {
        yield* request
      } catch (error) {
        failure = { error }
        throw error
      }
    }
    const body = await httpBody(pieces(), this.#service === 'git-upload-pack')
    const sending = this.#fetch(`${this.#base}/${this.#service}`, {
      method: 'POST',
      headers: {
        accept: `application/x-${this.#service}-result`,
        'content-type': `application/x-${this.#service}-request`,
        ...body.headers,
      },
      send: (alive) =>
        body.open((bytes) => {
          traffic.sent += bytes
          alive()
        }),
    })
    try {
      return this.#reader(await sending, 'result')
    } catch (error) {
      // Of a request that could not be made, fetch says that the connection failed.
      throw failure === undefined ? error : failure.error
    }
  }

  async close(reason?: Error): Promise<void> {
    this.#ending.abort(reason ?? new RemoteUnreachableError(this.#name, 'the connection was closed'))
    await this.#greeting?.close().catch(() => {})
  }

  /** The first request goes where redirections lead, but never from HTTPS to HTTP. */
  async #follow(start: string): Promise<{ response: Response; url: string }> {
    let url = start
    for (let count = 0; count <= MAX_REDIRECTS; count++) {
      const response = await this.#fetch(url, { method: 'GET', headers: { accept: '*/*' } })
      const location = response.headers.get('location')
      if (response.status < 300 || response.status >= 400 || location === null) return { response, url }
      await response.body?.cancel()
      const next = URL.canParse(location, url) ? new URL(location, url) : undefined
      const isSafe = next?.protocol === 'https:' || (next?.protocol === 'http:' && url.startsWith('http:'))
      if (next === undefined || !isSafe) {
        throw new RemoteRefusedError(
          this.#name,
          'it redirects to where a remote cannot be, or from HTTPS to HTTP',
        )
      }
      next.username = ''
      next.password = ''
      url = next.href
    }
    throw new RemoteRefusedError(this.#name, `it redirects more than ${MAX_REDIRECTS} times`)
  }

  async #fetch(url: string, request: HttpRequest): Promise<Response> {
    const { signal } = this.#ending
    const { firstByte } = this.#context.patience
    const timer = setTimeout(
      () => this.#ending.abort(new RemoteTimeoutError(this.#name, 'did not answer', firstByte)),
      firstByte,
    )
    try {
      return await fetch(url, {
        method: request.method,
        headers: { ...this.#headers, ...this.#authorization(url), ...request.headers },
        redirect: 'manual',
        signal,
        ...(request.send === undefined ? {} : { body: request.send(() => timer.refresh()), duplex: 'half' }),
      })
    } catch (error) {
      throw this.#failure(error)
    } finally {
      clearTimeout(timer)
    }
  }

  #authorization(url: string): Record<string, string> {
    if (this.#credentials === undefined || new URL(url).origin !== this.#origin) return {}
    return { authorization: `Basic ${Buffer.from(this.#credentials).toString('base64')}` }
  }

  #reader(response: Response, form: 'advertisement' | 'result'): PktReader {
    const expected = `application/x-${this.#service}-${form}`
    const problem =
      STATUSES[response.status] ?? (response.ok ? undefined : `it answers with status ${response.status}`)
    const type = response.headers.get('content-type')?.split(';')[0]?.trim()
    if (problem !== undefined || type !== expected || response.body === null) {
      response.body?.cancel().catch(() => {})
      if (problem !== undefined) throw new RemoteRefusedError(this.#name, problem)
      throw new RemoteProtocolError(
        this.#name,
        `its content type is ${JSON.stringify(type)}, not ${expected}`,
      )
    }
    const encoding = response.headers.get('content-encoding')
    if (encoding !== null && encoding !== 'identity') {
      response.body.cancel().catch(() => {})
      throw new RemoteProtocolError(this.#name, 'its answer is compressed, which it was asked not to do')
    }
    return new PktReader(this.#chunks(response.body))
  }

  async *#chunks(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    const { patience, traffic } = this.#context
    let limit = patience.firstByte
    const waits = {
      limit: () => limit,
      exceeded: (ms: number) => this.#ending.abort(new RemoteTimeoutError(this.#name, 'said nothing', ms)),
    }
    try {
      for await (const chunk of readPatiently(body, waits, traffic)) {
        limit = patience.stall
        yield chunk
      }
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** Errors of `fetch` say little themselves; their cause does. */
  #failure(error: unknown): GachixError {
    const { signal } = this.#ending
    if (signal.aborted && signal.reason instanceof GachixError) return signal.reason
    if (error instanceof GachixError) return error
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    return new RemoteUnreachableError(this.#name, errorMessage(cause) || 'the connection failed', {
      cause: error,
    })
  }
}

interface HttpRequest {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  /** Begins the body; `alive` is to be called for each part of it that goes. */
  send?(alive: () => void): RequestBody
}

const STATUSES: Readonly<Record<number, string>> = {
  401: 'it wants to know who asks: write user and password into the URL (https://user:password@host/…), or check them',
  403: 'it does not allow this (status 403)',
  404: 'there is no Git repository at this URL (status 404)',
}

/** A URL without what may be secret. */
function plain(url: string): string {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}
