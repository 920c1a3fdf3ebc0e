import type { IncomingMessage } from 'node:http'
import type { SecretKey } from '../nix/signature.ts'
import type { OnDemand, PackageStore } from '../store/api.ts'
import { errorMessage } from '../util/errors.ts'
import type { Logger } from '../util/log.ts'
import type { Exchange } from './exchange.ts'
import { LANDING_HEADERS, landingPage } from './landing.ts'
import { MISS_ANSWER } from './limits.ts'
import { NarRoutes } from './nar.ts'
import { expectedNarInfo, NARINFO_TYPE, NarInfoRenderer, type RenderedNarInfo } from './narinfo.ts'
import { matchesEtag } from './negotiate.ts'
import { publicUrl } from './public-url.ts'
import { matchRoute, type Route } from './route.ts'
import { flushed, TransferSlots, tooBusy } from './transfer.ts'

export interface CacheSettings {
  /** Lower is asked first by clients; cache.nixos.org says 40. */
  readonly priority: number
  /** Whether clients may ask for many paths only to learn which are there. */
  readonly wantMassQuery: boolean
  /** NAR bodies that stream at once; above it clients get 503. */
  readonly maxTransfers: number
}

export interface CacheComponents {
  readonly store: PackageStore
  /** Whether the repository is served to Git clients. */
  readonly git?: object
  /** Where packages come from that are not here; without it a miss is a 404. */
  readonly onDemand?: OnDemand
  /** Keys whose signatures are added to every narinfo. */
  readonly keys: readonly SecretKey[]
  readonly settings: CacheSettings
  readonly logger: Logger
  readonly version: string
  /** The node's own URL, for when a request does not name a sensible one. */
  readonly ownUrl: () => string
}

const METHODS = 'GET, HEAD'
/** Length of `/<hash part>.narinfo`. */
const NARINFO_PATH_LENGTH = 41

/** The routes of the binary cache. */
export class CacheRoutes {
  readonly #components: CacheComponents
  readonly #narinfos: NarInfoRenderer
  readonly #nars: NarRoutes
  readonly #slots: TransferSlots
  readonly #publicKeys: readonly string[]
  readonly #cacheInfo: Buffer

  constructor(components: CacheComponents) {
    const { store, keys, settings, logger, onDemand } = components
    this.#components = components
    this.#slots = new TransferSlots(settings.maxTransfers)
    this.#narinfos = new NarInfoRenderer({ store, keys })
    this.#nars = new NarRoutes({ store, slots: this.#slots, logger, ...(onDemand && { onDemand }) })
    this.#publicKeys = keys.map((key) => key.publicKey.toString())
    this.#cacheInfo = Buffer.from(
      `StoreDir: ${store.storeDir}\nWantMassQuery: ${settings.wantMassQuery ? 1 : 0}\nPriority: ${settings.priority}\n`,
    )
  }

  /** The answer to a request for a narinfo that is in memory, when it is the whole narinfo that is asked for. Never waits. */
  ready({ method, url = '', headers }: IncomingMessage): RenderedNarInfo | undefined {
    const isNarInfo = url.length === NARINFO_PATH_LENGTH && url.startsWith('/') && url.endsWith('.narinfo')
    if (!isNarInfo || method !== 'GET' || headers['if-none-match'] !== undefined) return undefined
    return this.#narinfos.cached(url.slice(1, -'.narinfo'.length))
  }

  /** Answers one request. */
  handle(exchange: Exchange): Promise<void> | void {
    if (exchange.req.method !== 'GET' && !exchange.isHead) {
      return exchange.text(405, 'this cache is read-only', { Allow: METHODS })
    }
    const route = matchRoute(exchange.req.url ?? '')
    switch (route.to) {
      case 'narinfo':
        return this.#narinfo(exchange, route.hash)
      case 'nar':
        return this.#nars.plain(exchange, route.tree)
      case 'gzip-nar':
        return this.#nars.gzip(exchange, route.tree, route.id)
      case 'package-nar':
        return this.#nars.named(exchange, route.hash, route.narHash)
      case 'listing':
        return this.#listing(exchange, route.hash)
      default:
        return this.#page(exchange, route)
    }
  }

  #page(exchange: Exchange, route: Route): void {
    const { store, version } = this.#components
    switch (route.to) {
      case 'cache-info':
        exchange.send(200, { 'Content-Type': 'text/x-nix-cache-info' }, this.#cacheInfo)
        break
      case 'health':
        exchange.json(200, { status: 'ok', version, packages: store.size })
        break
      case 'landing':
        exchange.send(200, LANDING_HEADERS, Buffer.from(this.#landing(exchange)))
        break
      case 'malformed':
        exchange.text(400, route.reason)
        break
      default:
        exchange.text(404, 'not found')
    }
  }

  #landing({ req }: Exchange): string {
    const { store, version, ownUrl, git } = this.#components
    const url = publicUrl(req, ownUrl())
    const { storeDir, size } = store
    const publicKeys = this.#publicKeys
    return landingPage({ url, storeDir, packages: size, publicKeys, version, git: git !== undefined })
  }

  #narinfo(exchange: Exchange, hash: string): Promise<void> | void {
    const ready = this.#narinfos.cached(hash)
    if (ready !== undefined) return sendNarInfo(exchange, ready)
    if (!this.#components.store.has(hash)) return this.#missing(exchange, hash)
    return this.#renderNarInfo(exchange, hash)
  }

  /** A package that is not here, but that may be had from elsewhere. */
  #missing(exchange: Exchange, hash: string): Promise<void> | void {
    const { onDemand } = this.#components
    if (onDemand === undefined) return exchange.text(404, 'no such package here')
    return this.#expected(exchange, hash, onDemand)
  }

  async #expected(exchange: Exchange, hash: string, onDemand: OnDemand): Promise<void> {
    const { signal } = exchange
    const limit = AbortSignal.timeout(MISS_ANSWER)
    const expected = await onDemand.find(hash, { signal })
    if (expected === undefined) return exchange.text(404, 'no such package here')
    // Nix keeps what it is told for 30 days, so what nobody has signed is told once it has been proven.
    if (!expected.vouched) {
      const waiting = onDemand.arrival(hash, { signal: AbortSignal.any([signal, limit]) })
      await waiting.catch(() => signal.throwIfAborted())
    }
    if (this.#components.store.has(hash)) return this.#renderNarInfo(exchange, hash)
    if (!expected.vouched) return exchange.text(404, 'no such package here yet')
    const body = Buffer.from(expectedNarInfo(expected.info, this.#components.keys))
    exchange.send(200, { 'Content-Type': NARINFO_TYPE, 'Cache-Control': 'no-store' }, body)
  }

  async #renderNarInfo(exchange: Exchange, hash: string): Promise<void> {
    const made = await this.#read(exchange, hash, () =>
      this.#narinfos.render(hash, { signal: exchange.signal }),
    )
    if (made === undefined) return exchange.text(404, 'no such package here')
    sendNarInfo(exchange, made)
  }

  /** A listing of a large package takes some megabytes of memory, so it counts as a transfer. */
  async #listing(exchange: Exchange, hash: string): Promise<void> {
    const release = this.#slots.acquire()
    if (release === undefined) return tooBusy(exchange)
    try {
      const { store } = this.#components
      const read = () => store.listing(hash, { signal: exchange.signal })
      const text = store.has(hash) ? await this.#read(exchange, hash, read) : undefined
      if (text === undefined) return exchange.text(404, 'no such package here')
      exchange.send(200, { 'Content-Type': 'application/json' }, Buffer.from(text))
      await flushed(exchange.res, exchange.signal)
    } finally {
      release()
    }
  }

  /** What the store says, or nothing when it fails: a 404 sends the client to its next cache, a 5xx fails its build. */
  async #read<T>(
    exchange: Exchange,
    hash: string,
    read: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    try {
      return await read()
    } catch (err) {
      exchange.signal.throwIfAborted()
      this.#components.logger.error(
        { hash, err },
        `a package cannot be read and was answered with 404: ${errorMessage(err)}`,
      )
      return undefined
    }
  }
}

function sendNarInfo(exchange: Exchange, { body, etag }: RenderedNarInfo): void {
  const headers = { 'Content-Type': NARINFO_TYPE, ETag: etag }
  if (matchesEtag(exchange.header('if-none-match'), etag)) exchange.notModified(headers)
  else exchange.send(200, headers, body)
}
