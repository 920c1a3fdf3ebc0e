import type { OutgoingHttpHeaders } from 'node:http'
import { nix32Encode } from '../nix/base32.ts'
import type { ByteRange, NarBody, NarEncoding, OnDemand, PackageStore } from '../store/api.ts'
import { errorMessage } from '../util/errors.ts'
import type { Logger } from '../util/log.ts'
import type { Exchange } from './exchange.ts'
import { gzipOnTheFly } from './gzip-fallback.ts'
import { acceptsGzip, matchesEtag, rangeHolds } from './negotiate.ts'
import { contentRange, parseRange } from './range.ts'
import { type StartedBody, sendBody, startBody, type TransferSlots, tooBusy } from './transfer.ts'

export interface NarComponents {
  readonly store: PackageStore
  /** Where packages come from that are not here yet. */
  readonly onDemand?: OnDemand
  readonly slots: TransferSlots
  readonly logger: Logger
}

const TYPE = { 'Content-Type': 'application/x-nix-nar' }
/** A body that is named by its exact bytes never changes. */
const FOR_EVER = { 'Cache-Control': 'public, max-age=31536000, immutable' }
const RANGES = { 'Accept-Ranges': 'bytes' }
/** Tells a client that loses its connection to start again: a later part could come from other bytes. */
const NO_RANGES = { 'Accept-Ranges': 'none' }

/**
 * NAR bodies. A package that cannot be read is answered with 404 and logged: Nix goes on to the next cache then, while
 * a 5xx fails the user's build.
 */
export class NarRoutes {
  readonly #store: PackageStore
  readonly #onDemand: OnDemand | undefined
  readonly #slots: TransferSlots
  readonly #logger: Logger

  constructor(components: NarComponents) {
    this.#store = components.store
    this.#onDemand = components.onDemand
    this.#slots = components.slots
    this.#logger = components.logger
  }

  /**
   * `nar/<tree>.nar`: the NAR, plain or with `Content-Encoding: gzip`. A request with `Range` always gets the plain
   * bytes, and the encoded answer offers no ranges, so that parts of the two are never put together.
   */
  async plain(exchange: Exchange, tree: string): Promise<void> {
    const mayEncode =
      exchange.header('range') === undefined && acceptsGzip(exchange.header('accept-encoding'))
    const encoded = mayEncode ? await this.#open(exchange, tree, 'gzip') : undefined
    if (encoded !== undefined) {
      const headers = {
        ...TYPE,
        ...FOR_EVER,
        ...NO_RANGES,
        Vary: 'Accept-Encoding',
        'Content-Encoding': 'gzip',
      }
      return this.#serve(exchange, encoded, headers)
    }
    const body = await this.#open(exchange, tree, 'none')
    if (body === undefined) return notFound(exchange)
    return this.#serve(exchange, body, { ...TYPE, ...FOR_EVER, ...RANGES, Vary: 'Accept-Encoding' })
  }

  /**
   * `nar/<tree>.<id>.nar.gz`: a gzip file. Clients keep narinfos for 30 days, and meanwhile the repository may have
   * been repacked, which changes the compressed bytes and with them the id. The old URL then gives the new bytes to
   * whoever starts, but nothing to whoever resumes: what that client has so far ends in another encoding.
   */
  async gzip(exchange: Exchange, tree: string, id: string): Promise<void> {
    const body = await this.#open(exchange, tree, 'gzip')
    if (body?.id === id) return this.#serve(exchange, body, { ...TYPE, ...FOR_EVER, ...RANGES })
    // `If-Range` names the bytes that the client has, so with it a part cannot go to the wrong place.
    if (rangeHeader(exchange) !== undefined && exchange.header('if-range') === undefined) {
      return notFound(exchange, NO_RANGES)
    }
    const headers = { ...TYPE, ...NO_RANGES, 'Cache-Control': 'no-store' }
    if (body !== undefined) return this.#serve(exchange, body, headers)
    const plain = await this.#open(exchange, tree, 'none')
    if (plain === undefined) return notFound(exchange)
    if (exchange.isHead) return endHead(exchange, 200, headers)
    return this.#stream(exchange, () => gzipOnTheFly(plain, exchange.signal), { status: 200, headers })
  }

  /**
   * `nar/<hash part>-<NAR hash>.nar`: the plain NAR of a package that was named before its tree was known. Waits for a
   * package that is on its way, and has it fetched again where that was interrupted.
   */
  async named(exchange: Exchange, hash: string, narHash: string): Promise<void> {
    const tree = await this.#treeOf(exchange, hash, narHash)
    return tree === undefined ? notFound(exchange) : this.plain(exchange, tree)
  }

  async #treeOf(exchange: Exchange, hash: string, narHash: string): Promise<string | undefined> {
    const options = { signal: exchange.signal }
    try {
      if (!this.#store.has(hash)) {
        const expected = await this.#onDemand?.find(hash, options)
        if (expected === undefined || nix32Encode(expected.info.narHash.digest) !== narHash) return undefined
        if (!(await this.#onDemand?.arrival(hash, options))) return undefined
      }
      const stored = await this.#store.package(hash, options)
      return stored && nix32Encode(stored.info.narHash.digest) === narHash ? stored.tree : undefined
    } catch (error) {
      this.#unreadable(exchange, error, { hash })
      return undefined
    }
  }

  async #serve(exchange: Exchange, body: NarBody, fixed: OutgoingHttpHeaders): Promise<void> {
    const etag = `"${body.id}"`
    const headers = { ...fixed, ETag: etag }
    if (matchesEtag(exchange.header('if-none-match'), etag)) return exchange.notModified(headers)
    const holds = rangeHolds(exchange.header('if-range'), etag)
    const range = holds ? parseRange(rangeHeader(exchange), body.size) : 'whole'
    if (range === 'unsatisfiable') {
      const error = { ...headers, 'Cache-Control': 'no-store', 'Content-Range': `bytes */${body.size}` }
      return exchange.text(416, 'the range lies outside of the file', {
        ...error,
        'Content-Type': 'text/plain',
      })
    }
    const answer = range === 'whole' ? whole(headers, body.size) : part(headers, range, body.size)
    if (exchange.isHead) return endHead(exchange, answer.status, answer.headers)
    const signal = exchange.signal
    const read = () => body.read(range === 'whole' ? undefined : range, { signal })
    return this.#stream(exchange, read, { ...answer, ...(body.recycle && { recycle: body.recycle }) })
  }

  /** Streams a body while there is a slot for it. Nothing of the answer is sent before the first bytes are there. */
  async #stream(exchange: Exchange, read: () => AsyncIterable<Uint8Array>, answer: Answer): Promise<void> {
    const release = this.#slots.acquire()
    if (release === undefined) {
      this.#logger.warn(
        { transfers: this.#slots.limit },
        'too many NAR transfers at once, a client was told to come back',
      )
      return tooBusy(exchange)
    }
    try {
      const body = await this.#start(exchange, read, answer)
      if (body === undefined) return notFound(exchange)
      exchange.res.writeHead(answer.status, answer.headers)
      await sendBody(exchange.res, body, answer.length, exchange.signal)
    } finally {
      release()
    }
  }

  async #start(
    exchange: Exchange,
    read: () => AsyncIterable<Uint8Array>,
    { length, recycle }: Answer,
  ): Promise<StartedBody | undefined> {
    try {
      return await startBody(read(), length, recycle)
    } catch (error) {
      this.#unreadable(exchange, error)
      return undefined
    }
  }

  async #open(exchange: Exchange, tree: string, encoding: NarEncoding): Promise<NarBody | undefined> {
    try {
      return await this.#store.openNar(tree, encoding, { signal: exchange.signal })
    } catch (error) {
      this.#unreadable(exchange, error, { tree, encoding })
      return undefined
    }
  }

  #unreadable(exchange: Exchange, err: unknown, fields: object = {}): void {
    exchange.signal.throwIfAborted()
    const what = { ...fields, url: exchange.req.url, err }
    this.#logger.error(what, `a NAR cannot be read and was answered with 404: ${errorMessage(err)}`)
  }
}

interface Answer {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  /** Exact length of the body; absent for a chunked one. */
  readonly length?: number
  /** See `NarBody.recycle`. */
  readonly recycle?: (chunk: Uint8Array) => void
}

function whole(headers: OutgoingHttpHeaders, length: number): Answer {
  return { status: 200, headers: { ...headers, 'Content-Length': length }, length }
}

function part(headers: OutgoingHttpHeaders, range: ByteRange, size: number): Answer {
  const length = range.end - range.start
  const fields = { ...headers, 'Content-Length': length, 'Content-Range': contentRange(range, size) }
  return { status: 206, headers: fields, length }
}

/** `Range` of a GET; for other methods the header has no meaning (RFC 9110, section 14.2). */
function rangeHeader(exchange: Exchange): string | undefined {
  return exchange.isHead ? undefined : exchange.header('range')
}

function endHead(exchange: Exchange, status: number, headers: OutgoingHttpHeaders): void {
  exchange.res.writeHead(status, headers)
  exchange.res.end()
}

function notFound(exchange: Exchange, headers?: OutgoingHttpHeaders): void {
  exchange.text(404, 'no such NAR here', headers)
}
