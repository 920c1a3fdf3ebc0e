import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

import Koa from 'koa'

import { errorMessage } from '../util/errors.ts'
import type { Logger } from '../util/log.ts'
import { ClientGoneError } from './errors.ts'
import { Exchange } from './exchange.ts'

const MAX_LOGGED_URL = 300

/** An answer with status 200 that only has to be written. */
export interface ReadyAnswer {
  /** Names and values of all headers, one after the other. */
  readonly headers: string[]
  /** One character a byte (`latin1`). */
  readonly body: string
}

/**
 * A Koa application around one handler, which answers by writing to the response itself (README.md says why). It logs
 * every request, turns defects into 500 or, once the headers are out, into a destroyed socket, and knows what still runs.
 * What is ready is written before Koa makes its objects for a request, which cost more than such an answer.
 */
export class RequestRunner {
  /** For Node's server. */
  readonly listener: RequestListener
  readonly #handle: (exchange: Exchange) => Promise<void> | void
  readonly #logger: Logger
  readonly #running = new Set<Promise<void>>()

  /** @param ready the answer to a request that needs no work, if there is one; asked first */
  constructor(
    handle: (exchange: Exchange) => Promise<void> | void,
    logger: Logger,
    ready: (req: IncomingMessage) => ReadyAnswer | undefined = () => undefined,
  ) {
    this.#handle = handle
    this.#logger = logger
    const app = new Koa()
    app.use((ctx) => {
      ctx.respond = false
      const run = this.#run(new Exchange(ctx.req, ctx.res))
      this.#running.add(run)
      return run.finally(() => this.#running.delete(run))
    })
    app.on('error', (err: Error) => logger.debug({ err }, 'a connection failed'))
    const listener = app.callback()
    this.listener = (req, res) => {
      const answer = ready(req)
      if (answer === undefined) listener(req, res)
      else this.#send(req, res, answer)
    }
  }

  /** Resolves when no request is being worked on. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  #send({ method, url }: IncomingMessage, res: ServerResponse, { headers, body }: ReadyAnswer): void {
    res.writeHead(200, headers)
    res.end(body, 'latin1')
    this.#logger.debug({ method, url, status: 200, ms: 0 }, 'request')
  }

  async #run(exchange: Exchange): Promise<void> {
    const started = performance.now()
    const { req, res } = exchange
    const url = (req.url ?? '').slice(0, MAX_LOGGED_URL)
    let gone = false
    try {
      await this.#handle(exchange)
    } catch (err) {
      gone = err instanceof ClientGoneError
      if (!gone) this.#logger.error({ url, err }, `a request failed: ${errorMessage(err)}`)
      if (gone || res.headersSent) res.destroy()
      else exchange.text(500, 'this node failed, see its log')
    } finally {
      exchange.close()
    }
    const ms = Math.round(performance.now() - started)
    this.#logger.debug(
      { method: req.method, url, status: res.statusCode, ms, ...(gone && { gone }) },
      'request',
    )
  }
}
