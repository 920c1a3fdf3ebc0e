/** An HTTP proxy in front of a cache that breaks connections in the middle of a NAR. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

export interface CuttingProxyOptions {
  /** URL of the cache behind the proxy. */
  readonly upstream: string
  /** How many connections are cut in all. */
  readonly cuts: number
  /** Only NARs of at least this length (as they are served, in bytes) are cut and counted. */
  readonly smallest: number
  /** Body bytes that pass before the cut. */
  readonly after: number
  /** Changes narinfos on their way. */
  readonly rewrite?: (narinfo: string) => string
}

/** What was asked of a NAR, and what came of it. */
export interface NarRequest {
  readonly url: string
  readonly range: string | undefined
  readonly status: number
  readonly cut: boolean
}

export class CuttingProxy implements AsyncDisposable {
  /** Requests for NARs of at least `smallest` bytes, in the order of their answers. */
  readonly requests: NarRequest[] = []
  readonly #options: CuttingProxyOptions
  readonly #server: Server
  #cuts = 0

  private constructor(options: CuttingProxyOptions) {
    this.#options = options
    this.#server = createServer((incoming, outgoing) => {
      // Whatever goes wrong behind the proxy is seen in front of it as a broken connection.
      this.#pass(incoming, outgoing).catch(() => outgoing.destroy())
    })
  }

  static async start(options: CuttingProxyOptions): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(options)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { rewrite, upstream, smallest } = this.#options
    const { host: _host, connection: _connection, ...headers } = incoming.headers
    const path = incoming.url ?? '/'
    const method = incoming.method ?? 'GET'
    const onward = request(new URL(path, upstream), { method, headers, agent: false })
    onward.end()
    const [answer] = (await once(onward, 'response')) as [IncomingMessage]
    const status = answer.statusCode ?? 502

    if (rewrite !== undefined && path.endsWith('.narinfo') && status === 200) {
      const { 'content-length': _length, etag: _etag, ...rest } = answer.headers
      outgoing.writeHead(status, rest)
      outgoing.end(method === 'HEAD' ? undefined : rewrite(await text(answer)))
      return
    }

    outgoing.writeHead(status, answer.headers)
    const inRange = /\/(\d+)$/.exec(answer.headers['content-range'] ?? '')?.[1]
    const length = Number(inRange ?? answer.headers['content-length'])
    if (method === 'GET' && path.startsWith('/nar/') && length >= smallest) {
      const cut = this.#cuts < this.#options.cuts
      this.requests.push({ url: path, range: incoming.headers.range, status, cut })
      if (cut) {
        this.#cuts++
        await this.#cut(answer, outgoing)
        return
      }
    }
    await pipeline(answer, outgoing)
  }

  /** Passes on the first bytes of a body, then closes the connection. */
  async #cut(answer: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    let left = this.#options.after
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const part = chunk.subarray(0, left)
      left -= part.length
      await new Promise((resolve) => outgoing.write(part, resolve))
      if (left === 0) break
    }
    outgoing.socket?.destroySoon()
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
