/**
 * A node's binary cache over HTTP. It speaks plain HTTP/1.1; TLS and HTTP/2 are for a proxy in front.
 */
import type { AddressInfo } from 'node:net'

import type { SecretKey } from '../nix/signature.ts'
import type { GitService, OnDemand, PackageStore } from '../store/api.ts'
import type { Startable } from '../util/lifecycle.ts'
import type { Logger } from '../util/log.ts'
import { CacheRoutes, type CacheSettings } from './cache-routes.ts'
import { GitRoutes } from './git/git-routes.ts'
import { DEFAULT_TIMEOUTS, type HttpTimeouts } from './limits.ts'
import { Listener } from './listener.ts'
import { RequestRunner } from './request-runner.ts'

export interface HttpServerSettings extends CacheSettings {
  /** Name or address to listen on; `localhost` means 127.0.0.1 and ::1. */
  readonly host: string
  /** 0 for any free one. */
  readonly port: number
  /** Listening sockets, by descriptor, that were handed to this process; with any, `host` and `port` do not count. */
  readonly sockets?: readonly number[]
  /** What differs from `DEFAULT_TIMEOUTS`. */
  readonly timeouts?: Partial<HttpTimeouts>
}

export interface HttpServerComponents {
  readonly store: PackageStore
  /** Serves the repository to Git clients below `/git`; without it there is nothing there. */
  readonly git?: GitService
  /** Where packages come from that are not here; without it a miss is a 404. */
  readonly onDemand?: OnDemand
  /** Keys that sign what is served; none is allowed. */
  readonly keys: readonly SecretKey[]
  readonly settings: HttpServerSettings
  readonly logger: Logger
  readonly version: string
}

/** @see HttpServer */
export function createHttpServer(components: HttpServerComponents): HttpServer {
  return new HttpServer(components)
}

/** Serves a package store to Nix clients. */
export class HttpServer implements Startable {
  readonly #settings: HttpServerSettings
  readonly #runner: RequestRunner
  readonly #listener: Listener
  readonly #logger: Logger
  #address: AddressInfo | undefined

  constructor(components: HttpServerComponents) {
    const { settings, logger, git } = components
    this.#settings = settings
    this.#logger = logger
    const routes = new CacheRoutes({ ...components, ownUrl: () => this.url })
    const gitRoutes = git === undefined ? undefined : new GitRoutes({ git, logger })
    this.#runner = new RequestRunner(
      (exchange) => gitRoutes?.handle(exchange) ?? routes.handle(exchange),
      logger,
      (req) => routes.ready(req),
    )
    this.#listener = new Listener(this.#runner.listener, { ...DEFAULT_TIMEOUTS, ...settings.timeouts })
  }

  /** Where the server listens: address, family and actual port. `undefined` while it is stopped. */
  get address(): AddressInfo | undefined {
    return this.#address
  }

  /** URL for clients on this machine, without trailing slash. */
  get url(): string {
    const { host } = this.#settings
    const name = host === '0.0.0.0' || host === '::' || host === '[::]' ? 'localhost' : host
    const authority = name.includes(':') && !name.startsWith('[') ? `[${name}]` : name
    return `http://${authority}:${this.#address?.port ?? this.#settings.port}`
  }

  /**
   * @throws ListenError (`ERR_ADDRESS_IN_USE`, `ERR_LISTEN_DENIED`, `ERR_ADDRESS_UNKNOWN`, `ERR_LISTEN_FAILED`)
   */
  async start(): Promise<void> {
    if (this.#address !== undefined) return
    const { host, port, sockets = [] } = this.#settings
    this.#address =
      sockets.length > 0 ? await this.#listener.adopt(sockets) : await this.#listener.start(host, port)
    this.#logger.info({ url: this.url }, `serving at ${this.url}`)
  }

  /** Stops accepting, lets running transfers end up to the time limit, and returns when nothing reads the store. */
  async stop(): Promise<void> {
    await this.#listener.stop()
    await this.#runner.idle()
    this.#address = undefined
  }
}
