import type { RequestListener, Server } from 'node:http'
import type { AddressInfo, ListenOptions } from 'node:net'

import { createServer } from '../util/http-module.ts'
import { ListenError } from './errors.ts'
import { type HttpTimeouts, MAX_CONNECTIONS, MAX_HEADER_SIZE, WRITE_BUFFER } from './limits.ts'

/** How often the slow are looked for, and connections that became idle while we stop. */
const CHECK_INTERVAL = 1_000
const STOP_INTERVAL = 20
const LOOPBACK = ['127.0.0.1', '::1']
/** Attempts to find a free port that is free on both loopback addresses. */
const PORT_ATTEMPTS = 10

/** Sockets that accept HTTP connections on all addresses of a host name, and their end. */
export class Listener {
  readonly #handler: RequestListener
  readonly #timeouts: HttpTimeouts
  #servers: Server[] = []

  constructor(handler: RequestListener, timeouts: HttpTimeouts) {
    this.#handler = handler
    this.#timeouts = timeouts
  }

  /**
   * Listens. `localhost` means both loopback addresses, as far as the machine has them; port 0 means a free one.
   *
   * @throws ListenError
   */
  async start(host: string, port: number): Promise<AddressInfo> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#listenAll(
          host === 'localhost' ? LOOPBACK : [host.replace(/^\[(.*)\]$/, '$1')],
          port,
        )
      } catch (error) {
        await this.stop()
        const cause = error as NodeJS.ErrnoException
        if (port === 0 && cause.code === 'EADDRINUSE' && attempt < PORT_ATTEMPTS) continue
        throw new ListenError(
          `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`,
          cause,
        )
      }
    }
  }

  /**
   * Accepts on sockets that listen already and were handed to this process.
   *
   * @param descriptors at least one
   * @throws ListenError when one of them is no listening TCP socket
   */
  async adopt(descriptors: readonly number[]): Promise<AddressInfo> {
    for (const fd of descriptors) {
      try {
        await this.#listen({ fd })
      } catch (error) {
        await this.stop()
        throw new ListenError(`the inherited socket ${fd}`, error as NodeJS.ErrnoException)
      }
    }
    return this.#servers[0]!.address() as AddressInfo
  }

  /**
   * Stops accepting at once, waits for running answers, and after the time limit destroys what is left. Resolves when
   * all connections are closed.
   */
  async stop(): Promise<void> {
    const servers = this.#servers.splice(0)
    const closed = Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    const sweep = setInterval(() => {
      for (const server of servers) server.closeIdleConnections()
    }, STOP_INTERVAL)
    const limit = setTimeout(() => {
      for (const server of servers) server.closeAllConnections()
    }, this.#timeouts.stop)
    await closed
    clearInterval(sweep)
    clearTimeout(limit)
  }

  async #listenAll(addresses: readonly string[], port: number): Promise<AddressInfo> {
    let bound: AddressInfo | undefined
    let missing: unknown
    for (const address of addresses) {
      try {
        bound ??= await this.#listen({ host: address, port })
        if (bound.address !== address) await this.#listen({ host: address, port: bound.port })
      } catch (error) {
        if (addresses.length === 1 || !isMissing(error)) throw error
        missing = error
      }
    }
    if (bound === undefined) throw missing
    return bound
  }

  async #listen(where: ListenOptions | { fd: number }): Promise<AddressInfo> {
    const server = this.#createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(where, () => {
        server.off('error', reject)
        resolve()
      })
    })
    this.#servers.push(server)
    return server.address() as AddressInfo
  }

  #createServer(): Server {
    const server = createServer(
      {
        maxHeaderSize: MAX_HEADER_SIZE,
        headersTimeout: this.#timeouts.headers,
        requestTimeout: this.#timeouts.request,
        keepAliveTimeout: this.#timeouts.keepAlive,
        connectionsCheckingInterval: Math.min(CHECK_INTERVAL, this.#timeouts.headers),
        highWaterMark: WRITE_BUFFER,
      },
      this.#handler,
    )
    server.timeout = this.#timeouts.idle
    server.maxConnections = MAX_CONNECTIONS
    // Nothing here takes a body, so nobody is told to go on and send one: the answer is given instead.
    server.on('checkContinue', (req, res) => {
      res.shouldKeepAlive = false
      this.#handler(req, res)
    })
    return server
  }
}

/** Whether the machine lacks this kind of address altogether. */
function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT'
}
