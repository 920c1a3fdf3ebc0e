import type { GitService } from '../../store/api.ts'
import type { Logger } from '../../util/log.ts'
import type { Exchange } from '../exchange.ts'
import { MAX_GIT_TRANSFERS } from '../limits.ts'
import { sendBody, TransferSlots, tooBusy } from '../transfer.ts'
import { RequestBodyError, requestBody } from './request-body.ts'

export interface GitComponents {
  readonly git: GitService
  readonly logger: Logger
}

type Version = Parameters<GitService['advertise']>[0]

const PREFIX = /^\/git\/([^?#]*)(?:\?([^#]*))?/
const NEVER_CACHED = {
  'Cache-Control': 'no-cache, max-age=0, must-revalidate',
  Expires: 'Fri, 01 Jan 1980 00:00:00 GMT',
  Pragma: 'no-cache',
}
const SERVICE = 'git-upload-pack'
const READ_ONLY = 'this repository is read-only: packages are added on the node itself'
const SMART_ONLY = 'only the smart protocol is served here: git clone --mirror <this node>/git'

/** The repository for Git clients, read-only, by the smart protocol (`gitprotocol-http`). */
export class GitRoutes {
  readonly #git: GitService
  readonly #logger: Logger
  readonly #slots = new TransferSlots(MAX_GIT_TRANSFERS)

  constructor({ git, logger }: GitComponents) {
    this.#git = git
    this.#logger = logger
  }

  /** Answers a request for something below `/git/`; gives `undefined` for any other. */
  handle(exchange: Exchange): Promise<void> | void | undefined {
    const [, path, query = ''] = PREFIX.exec(exchange.req.url ?? '') ?? []
    if (path === undefined) return undefined
    return this.#answer(exchange, path, new URLSearchParams(query).get('service'))
  }

  async #answer(exchange: Exchange, path: string, service: string | null): Promise<void> {
    const post = exchange.req.method === 'POST'
    const refs = path === 'info/refs'
    if (path === 'git-receive-pack' || (refs && service === 'git-receive-pack'))
      return refuse(exchange, 403, READ_ONLY)
    if (refs && service === SERVICE && !post) return this.#advertise(exchange)
    if (path === SERVICE && post) return this.#serve(exchange)
    if (post || path === SERVICE) {
      return exchange.text(405, path === SERVICE ? 'this takes POST' : READ_ONLY, {
        ...NEVER_CACHED,
        Allow: path === SERVICE ? 'POST' : 'GET, HEAD',
      })
    }
    return refuse(exchange, 404, SMART_ONLY)
  }

  async #advertise(exchange: Exchange): Promise<void> {
    const version = protocolVersion(exchange)
    const { signal } = exchange
    const advertisement = this.#git.advertise(version, { signal })
    // Clients of version 2 do without the line that names the service, and so does Git's own server.
    const chunks = version === 2 ? advertisement : after(SERVICE_LINE, advertisement)
    await this.#stream(exchange, `application/x-${SERVICE}-advertisement`, () => chunks)
  }

  async #serve(exchange: Exchange): Promise<void> {
    if (exchange.header('content-type') !== `application/x-${SERVICE}-request`)
      return refuse(exchange, 415, `a request has the content type application/x-${SERVICE}-request`)
    if (exchange.header('expect') !== undefined) exchange.res.writeContinue()
    const version = protocolVersion(exchange)
    const { req, signal } = exchange
    await this.#stream(exchange, `application/x-${SERVICE}-result`, () =>
      this.#git.answer(requestBody(req), version, { signal }),
    )
  }

  /** Streams an answer while there is a slot for it. A request that cannot be read is found before the headers. */
  async #stream(exchange: Exchange, type: string, read: () => AsyncIterable<Uint8Array>): Promise<void> {
    const { req, res, signal } = exchange
    const release = this.#slots.acquire()
    if (release === undefined) {
      this.#logger.warn(
        { transfers: this.#slots.limit },
        'too many Git transfers at once, a client was refused',
      )
      return tooBusy(exchange)
    }
    try {
      const rest = read()[Symbol.asyncIterator]()
      let first: IteratorResult<Uint8Array>
      try {
        first = await rest.next()
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof RequestBodyError)) throw error
        return refuse(exchange, error.status, error.message)
      }
      res.writeHead(200, { ...NEVER_CACHED, 'Content-Type': type })
      await sendBody(res, { first, rest, recycle: undefined }, undefined, signal)
    } finally {
      // What is left of the body is thrown away as it comes: closing now could take the answer from a client that still sends.
      req.resume()
      release()
    }
  }
}

const SERVICE_LINE = Buffer.from(`001e# service=${SERVICE}\n0000`)

async function* after(start: Uint8Array, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield start
  yield* chunks
}

function refuse(exchange: Exchange, status: number, message: string): void {
  exchange.text(status, message, NEVER_CACHED)
}

/** The version that the client would like, as far as we know it (`Git-Protocol: version=2`). */
function protocolVersion(exchange: Exchange): Version {
  const asked = /(?:^|:)version=([012])(?:$|:)/.exec(exchange.header('git-protocol') ?? '')?.[1]
  return asked === '2' ? 2 : asked === '1' ? 1 : 0
}
