import type { z } from 'zod'

import { ChunkPool } from '../../util/chunk-pool.ts'
import { AbortedError, errorCode, errorMessage, GachixError } from '../../util/errors.ts'
import type { Startable } from '../../util/lifecycle.ts'
import type { Logger } from '../../util/log.ts'
import type { Exchange } from '../exchange.ts'
import { RequestRunner } from '../request-runner.ts'
import { written } from '../transfer.ts'
import type { Operations } from './api.ts'
import { ControlProtocolError } from './errors.ts'
import { addPeerRequestSchema, PEER_ROUTES, peerCallSchema } from './peer-wire.ts'
import { checkRequestSchema, pushRequestSchema, SYNC_ROUTES, syncRequestSchema } from './sync-wire.ts'
import { UnixListener } from './unix-listener.ts'
import { addRequestSchema, MAX_PATH_LENGTH, MAX_REQUEST_SIZE, ROUTES } from './wire.ts'

export interface ControlServerComponents {
  readonly operations: Operations
  /** From `controlSocketPath`. */
  readonly path: string
  readonly logger: Logger
}

/** What a running operation is told by, and tells to, its client. */
interface Job {
  readonly signal: AbortSignal
  readonly onEvent: (event: unknown) => void
}

/** Packages of a list are sent in pieces of about so many characters. */
const BATCH_LENGTH = 64 * 1024
/** Memory for such a piece, with the line that made it long enough. */
const CHUNK_BYTES = 2 * BATCH_LENGTH
/** Pieces that wait to be used again. */
const MAX_FREE_CHUNKS = 4
const NDJSON = { 'Content-Type': 'application/x-ndjson' }

/**
 * Offers a node's operations to this user's `gachix` commands through a unix socket. An operation ends when its client
 * closes the connection, and when the node stops.
 */
export class ControlServer implements Startable {
  readonly #operations: Operations
  readonly #logger: Logger
  readonly #runner: RequestRunner
  readonly #listener: UnixListener
  readonly #stopped = new AbortController()
  readonly #chunks = new ChunkPool(CHUNK_BYTES, MAX_FREE_CHUNKS)

  constructor({ operations, path, logger }: ControlServerComponents) {
    this.#operations = operations
    this.#logger = logger
    this.#runner = new RequestRunner((exchange) => this.#handle(exchange), logger)
    this.#listener = new UnixListener(path, this.#runner.listener)
  }

  /**
   * Listens. A stopped server is not started again.
   *
   * @throws ControlSocketError
   */
  async start(): Promise<void> {
    await this.#listener.start()
  }

  /** Aborts running operations, tells their clients, and takes the socket away. */
  async stop(): Promise<void> {
    this.#stopped.abort(new AbortedError('the node was stopped'))
    await this.#runner.idle()
    await this.#listener.stop()
  }

  async #handle(exchange: Exchange): Promise<void> {
    try {
      await this.#dispatch(exchange)
    } catch (error) {
      if (exchange.res.headersSent || exchange.signal.aborted) throw error
      this.#report(error)
      exchange.json(error instanceof GachixError ? 400 : 500, { error: describe(error) })
    }
  }

  async #dispatch(exchange: Exchange): Promise<void> {
    const [path, query] = (exchange.req.url ?? '').split('?', 2)
    switch (`${exchange.req.method} ${path}`) {
      case `POST ${ROUTES.add}`:
        return this.#job(exchange, addRequestSchema, (request, options) =>
          this.#operations.add(request, options),
        )
      case `POST ${SYNC_ROUTES.sync}`:
        return this.#job(exchange, syncRequestSchema, (request, options) =>
          this.#operations.sync(request, options),
        )
      case `POST ${SYNC_ROUTES.push}`:
        return this.#job(exchange, pushRequestSchema, (request, options) =>
          this.#operations.push(request, options),
        )
      case `POST ${SYNC_ROUTES.checkRemotes}`:
        return this.#job(exchange, checkRequestSchema, ({ remotes }, options) =>
          this.#operations.checkRemotes(remotes, options),
        )
      case `POST ${PEER_ROUTES.addPeer}`:
        return this.#job(exchange, addPeerRequestSchema, (request) => this.#operations.addPeer(request))
      case `POST ${PEER_ROUTES.call}`:
        return this.#job(exchange, peerCallSchema, ({ name, text }, { signal }) =>
          this.#operations[name](text, { signal }),
        )
      case `GET ${SYNC_ROUTES.sources}`:
        return exchange.json(200, { result: await this.#operations.sources() })
      case `GET ${ROUTES.list}`:
        return this.#list(exchange)
      case `GET ${ROUTES.info}`:
        return this.#info(exchange, new URLSearchParams(query).get('target') ?? '')
      case `GET ${ROUTES.status}`:
        return exchange.json(200, { result: await this.#operations.status() })
      default:
        throw new ControlProtocolError('the node does not know this operation')
    }
  }

  /** Work that tells how it gets on. */
  async #job<T>(
    exchange: Exchange,
    schema: z.ZodType<T>,
    work: (request: T, options: Job) => Promise<unknown>,
  ): Promise<void> {
    const request = check(schema, await readJson(exchange))
    const { res } = exchange
    await this.#stream(exchange, async (signal) => {
      // What the client does not read in time waits in memory: some hundred bytes a package at most.
      const onEvent = (event: unknown) => {
        if (!signal.aborted) res.write(line({ event }))
      }
      return work(request, { signal, onEvent })
    })
  }

  async #list(exchange: Exchange): Promise<void> {
    await this.#stream(exchange, async (signal) => {
      let batch = ''
      for await (const event of this.#operations.list({ signal })) {
        batch += line({ event })
        if (batch.length < BATCH_LENGTH) continue
        await written(exchange.res, this.#bytesOf(batch), signal, (chunk) => this.#chunks.give(chunk))
        batch = ''
      }
      if (batch !== '') await written(exchange.res, Buffer.from(batch), signal)
      return null
    })
  }

  /** The text in memory that is used again: a list of a million packages is 150 MB. */
  #bytesOf(text: string): Buffer {
    if (Buffer.byteLength(text) > CHUNK_BYTES) return Buffer.from(text)
    const chunk = this.#chunks.take()
    return chunk.subarray(0, chunk.write(text))
  }

  async #info(exchange: Exchange, target: string): Promise<void> {
    if (target === '' || target.length > MAX_PATH_LENGTH)
      throw new ControlProtocolError('the request names no package')
    const details = await this.#operations.info(target, { signal: this.#signal(exchange) })
    exchange.json(200, { result: details ?? null })
  }

  /** Answers with lines of which the last tells how the work ended. */
  async #stream(exchange: Exchange, work: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    const { res } = exchange
    res.writeHead(200, NDJSON)
    res.flushHeaders()
    const end = await work(this.#signal(exchange)).then(
      (result) => ({ result }),
      (error: unknown) => {
        exchange.signal.throwIfAborted()
        this.#report(error)
        return { error: describe(error) }
      },
    )
    res.end(line(end))
  }

  #signal(exchange: Exchange): AbortSignal {
    return AbortSignal.any([exchange.signal, this.#stopped.signal])
  }

  /** What is not the user's to solve belongs into the node's log too. */
  #report(err: unknown): void {
    if (!(err instanceof GachixError))
      this.#logger.error({ err }, `an operation failed: ${errorMessage(err)}`)
  }
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`
}

function describe(error: unknown): { code: string; message: string } {
  return { code: errorCode(error), message: errorMessage(error) }
}

function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new ControlProtocolError(`the request is not valid: ${issue?.path.join('.')}: ${issue?.message}`)
}

async function readJson(exchange: Exchange): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  // The connection is kept when we stop reading early: it has to carry the refusal.
  for await (const chunk of exchange.req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_REQUEST_SIZE) {
      throw new ControlProtocolError(`the request has more than ${MAX_REQUEST_SIZE} bytes`)
    }
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (cause) {
    throw new ControlProtocolError('the request is not JSON', { cause })
  }
}
