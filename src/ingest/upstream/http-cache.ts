import type { IncomingMessage } from 'node:http'
import { GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { CacheFiles } from './cache-files.ts'
import { decompress } from './codec/decompress.ts'
import {
  UpstreamInvalidError,
  UpstreamMissingError,
  UpstreamStatusError,
  UpstreamTimeoutError,
  UpstreamUnreachableError,
} from './errors.ts'
import { HttpClient, type HttpTimeouts } from './http-client.ts'

/** Milliseconds for a small file in whole. */
const READ_TIMEOUT = 15_000

/** How often a transfer that broke off is taken up again. */
const MAX_RESUMES = 2

/** 403 is what S3 answers for objects that are not there, to those who may not list them; Nix reads it so too. */
const ABSENT: ReadonlySet<number> = new Set([403, 404, 410])

/** Codings of HTTP, in Nix's words. Some caches keep their files encoded and serve them so, asked or not. */
const CODINGS: ReadonlyMap<string, string> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['br', 'br'],
  ['zstd', 'zstd'],
  ['identity', 'none'],
])

/** Patience with a cache, in milliseconds. */
export interface CacheTimeouts extends HttpTimeouts {
  /** For a small file in whole. */
  readonly read?: number
}

/** A binary cache on an HTTP server. */
export class HttpCache implements CacheFiles {
  readonly #name: string
  readonly #base: URL
  readonly #client: HttpClient
  readonly #readTimeout: number

  /** @param base URL of the cache, with a slash at its end */
  constructor(name: string, base: URL, authorization?: string, timeouts: CacheTimeouts = {}) {
    const { read = READ_TIMEOUT, ...others } = timeouts
    this.#readTimeout = read
    this.#name = name
    this.#base = base
    this.#client = new HttpClient(name, base.origin, authorization, others)
  }

  async read(name: string, maxSize: number, options: AbortOptions = {}): Promise<Buffer | undefined> {
    const late = AbortSignal.timeout(this.#readTimeout)
    const signal = options.signal ? AbortSignal.any([options.signal, late]) : late
    try {
      const response = await this.#client.get(new URL(name, this.#base), { signal })
      if (ABSENT.has(response.statusCode ?? 0)) {
        this.#client.discard(response)
        return undefined
      }
      this.#expect(200, response, name)
      const chunks: Uint8Array[] = []
      let size = 0
      for await (const chunk of this.#decoded(response, signal)) {
        size += chunk.length
        if (size > maxSize)
          throw new UpstreamInvalidError(this.#name, `${name} has more than ${maxSize} bytes`)
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
    } catch (error) {
      if (late.aborted && !options.signal?.aborted) {
        throw new UpstreamTimeoutError(
          this.#name,
          `${name} did not come within ${this.#readTimeout / 1000} s`,
        )
      }
      throw this.#explain(error, name)
    }
  }

  async *open(
    location: string,
    maxSize: number,
    options: AbortOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const url = this.#resolve(location)
    const response = await this.#client.get(url, options)
    if (ABSENT.has(response.statusCode ?? 0)) {
      this.#client.discard(response)
      throw new UpstreamMissingError(this.#name, `it does not have its file ${location}`)
    }
    this.#expect(200, response, location)
    let received = 0
    let failure: unknown
    let part: IncomingMessage | undefined = response
    for (let resumes = 0; part !== undefined; resumes++) {
      try {
        for await (const chunk of this.#decoded(part, options.signal)) {
          received += chunk.length
          if (received > maxSize) {
            throw new UpstreamInvalidError(this.#name, `${location} has more than ${maxSize} bytes`)
          }
          yield chunk
        }
        return
      } catch (error) {
        if (!isBroken(error)) throw this.#explain(error, location)
        failure = error
      }
      part = resumes < MAX_RESUMES ? await this.#resume(url, response, received, options) : undefined
    }
    throw failure
  }

  close(): void {
    this.#client.close()
  }

  /**
   * A narinfo comes from whoever answers under the cache's name; what it names must not lead us to another host or a
   * service of this network.
   */
  #resolve(location: string): URL {
    const url = URL.parse(location, this.#base.href)
    if (url !== null && url.origin === this.#base.origin && url.username === '' && url.password === '')
      return url
    throw new UpstreamInvalidError(
      this.#name,
      `it names a NAR elsewhere: ${JSON.stringify(location.slice(0, 200))}`,
    )
  }

  /** The rest of a file; `undefined` when the server does not give it, or does not answer. */
  async #resume(
    url: URL,
    first: IncomingMessage,
    received: number,
    options: AbortOptions,
  ): Promise<IncomingMessage | undefined> {
    const resumption = resumptionOf(first)
    if (resumption === undefined) return undefined
    try {
      const headers = { ...resumption, Range: `bytes=${received}-` }
      const response = await this.#client.get(url, { ...options, headers })
      if (continues(response, received)) return response
      this.#client.discard(response)
    } catch (error) {
      if (!isBroken(error)) throw error
    }
    return undefined
  }

  #expect(status: number, response: IncomingMessage, what: string): void {
    if (response.statusCode === status) return
    this.#client.discard(response)
    throw new UpstreamStatusError(this.#name, what, response.statusCode ?? 0)
  }

  #decoded(response: IncomingMessage, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
    const coding = response.headers['content-encoding']?.trim().toLowerCase() || 'identity'
    const compression = CODINGS.get(coding)
    if (compression !== undefined) return decompress(compression, this.#client.body(response, signal))
    this.#client.discard(response)
    throw new UpstreamInvalidError(this.#name, `it encodes by ${JSON.stringify(coding)}, which is not known`)
  }

  /** What a decoder throws is not ours. */
  #explain(error: unknown, what: string): unknown {
    if (error instanceof GachixError) return error
    return new UpstreamInvalidError(this.#name, `${what} is not encoded as it says: ${String(error)}`, {
      cause: error,
    })
  }
}

/** Whether a transfer failed on the way, and what came before is good. */
function isBroken(error: unknown): boolean {
  return error instanceof UpstreamUnreachableError || error instanceof UpstreamTimeoutError
}

/** Headers that ask for the rest of the same file; `undefined` when the server does not give parts of it. */
function resumptionOf({ headers }: IncomingMessage): Record<string, string> | undefined {
  if (headers['accept-ranges'] !== 'bytes' || (headers['content-encoding'] ?? 'identity') !== 'identity') {
    return undefined
  }
  const { etag } = headers
  const validator = etag?.startsWith('"') ? etag : headers['last-modified']
  return validator === undefined ? {} : { 'If-Range': validator }
}

/** Whether an answer is the file from `start` on. */
function continues({ statusCode, headers }: IncomingMessage, start: number): boolean {
  return statusCode === 206 && (headers['content-range'] ?? '').startsWith(`bytes ${start}-`)
}
