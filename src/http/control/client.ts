import type { IncomingMessage } from 'node:http'
import { StringDecoder } from 'node:string_decoder'

import * as z from 'zod'

import { AbortedError, errorCode, GachixError } from '../../util/errors.ts'
import { request } from '../../util/http-module.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type {
  AddOptions,
  AddRequest,
  AddSummary,
  NodeStatus,
  Operations,
  PackageDetails,
  PackageSummary,
} from './api.ts'
import { ControlProtocolError, NodeUnreachableError, NodeVanishedError } from './errors.ts'
import { PeerClient } from './peer-client.ts'
import type {
  PushRequest,
  PushSummary,
  RemoteCheck,
  SourceStatus,
  SyncOptions,
  SyncRequest,
  SyncSummary,
} from './sync-api.ts'
import {
  pushSummarySchema,
  remoteCheckSchema,
  SYNC_ROUTES,
  syncEventSchema,
  syncSummarySchema,
} from './sync-wire.ts'
import {
  addSummarySchema,
  lineSchema,
  MAX_LINE_LENGTH,
  nodeStatusSchema,
  packageDetailsSchema,
  packageSummarySchema,
  ROUTES,
  sourceStatusSchema,
} from './wire.ts'

/**
 * The operations of a running node, asked for through its control socket. Errors of the node arrive as `GachixError` with
 * their code and message. All methods throw `NodeUnreachableError` (`ERR_NODE_UNREACHABLE`) when no node listens, and
 * `NodeVanishedError` (`ERR_NODE_VANISHED`) when it goes away in between.
 */
export class ControlClient extends PeerClient implements Operations {
  readonly #path: string

  /**
   * @param path - of the socket
   */
  constructor(path: string) {
    super((route, job, schema, options) => this.#job(route, job, schema, options))
    this.#path = path
  }

  async add(job: AddRequest, options: AddOptions = {}): Promise<AddSummary> {
    return this.#job(ROUTES.add, job, addSummarySchema, options)
  }

  async sync(job: SyncRequest, options: SyncOptions = {}): Promise<SyncSummary> {
    return this.#job(SYNC_ROUTES.sync, job, syncSummarySchema, options)
  }

  async push(job: PushRequest, options: SyncOptions = {}): Promise<PushSummary> {
    return this.#job(SYNC_ROUTES.push, job, pushSummarySchema, options)
  }

  async checkRemotes(
    remotes: readonly string[],
    options: AbortOptions = {},
  ): Promise<readonly RemoteCheck[]> {
    return this.#job(SYNC_ROUTES.checkRemotes, { remotes }, z.array(remoteCheckSchema), options)
  }

  async sources(): Promise<readonly SourceStatus[]> {
    return this.#result(SYNC_ROUTES.sources, z.array(sourceStatusSchema), {})
  }

  async *list(options: AbortOptions = {}): AsyncGenerator<PackageSummary> {
    for await (const message of this.#stream('GET', ROUTES.list, options)) {
      if ('result' in message) return
      yield check(packageSummarySchema, message.event)
    }
  }

  async info(target: string, options: AbortOptions = {}): Promise<PackageDetails | undefined> {
    const path = `${ROUTES.info}?${new URLSearchParams({ target })}`
    return (await this.#result(path, packageDetailsSchema.nullable(), options)) ?? undefined
  }

  async status(): Promise<NodeStatus> {
    return this.#result(ROUTES.status, nodeStatusSchema, {})
  }

  /** Work that tells how it gets on. */
  async #job<T>(path: string, job: object, schema: z.ZodType<T>, options: SyncOptions): Promise<T> {
    for await (const message of this.#stream('POST', path, options, JSON.stringify(job))) {
      if ('result' in message) return check(schema, message.result)
      const event = check(syncEventSchema, message.event)
      options.onEvent?.(event)
    }
    throw new NodeVanishedError()
  }

  async #result<T>(path: string, schema: z.ZodType<T>, options: AbortOptions): Promise<T> {
    for await (const message of this.#stream('GET', path, options)) {
      if ('result' in message) return check(schema, message.result)
    }
    throw new NodeVanishedError()
  }

  /** The messages of an answer, of which the last is the result. Breaking off ends the operation in the node. */
  async *#stream(
    method: string,
    path: string,
    options: AbortOptions,
    body?: string,
  ): AsyncGenerator<Message> {
    const response = await this.#request(method, path, options, body)
    try {
      for await (const text of lines(response)) {
        const message = check(lineSchema, parse(text))
        if ('error' in message) throw new GachixError(message.error.code, message.error.message)
        yield message
        if ('result' in message) return
      }
    } catch (cause) {
      throw translate(cause, options)
    } finally {
      response.destroy()
    }
    throw new NodeVanishedError()
  }

  #request(method: string, path: string, { signal }: AbortOptions, body?: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }
      const socketPath = this.#path
      const sent = request({ socketPath, method, path, headers, agent: false, ...(signal && { signal }) })
      sent.once('response', resolve)
      sent.once('error', (error: NodeJS.ErrnoException) => {
        if (['ENOENT', 'ECONNREFUSED', 'EACCES', 'ENOTDIR'].includes(errorCode(error))) {
          reject(new NodeUnreachableError(this.#path, error))
        } else reject(translate(error, { ...(signal && { signal }) }))
      })
      sent.end(body)
    })
  }
}

type Message = { readonly event: unknown } | { readonly result: unknown }

/** What a failure of the connection means. */
function translate(error: unknown, { signal }: AbortOptions): unknown {
  if (signal?.aborted) return new AbortedError(undefined, { cause: error })
  if (error instanceof GachixError) return error
  return ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(errorCode(error))
    ? new NodeVanishedError({ cause: error })
    : error
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ControlProtocolError('the node answered something that is not JSON', { cause })
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new ControlProtocolError('the node gave an answer that this command does not understand', {
    cause: parsed.error,
  })
}

/** Complete lines of a response; what follows the last line feed was cut off and is dropped. */
async function* lines(response: IncomingMessage): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let started: string[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    const [first = '', ...others] = decoder.write(chunk).split('\n')
    started.push(first)
    length += first.length
    if (length > MAX_LINE_LENGTH) throw new ControlProtocolError('the node answered with an endless line')
    const rest = others.pop()
    if (rest === undefined) continue
    yield started.join('')
    yield* others
    started = [rest]
    length = rest.length
  }
}
