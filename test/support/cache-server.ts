/** The HTTP server over a store in memory, and requests to it that keep what `fetch` hides. */
import { type IncomingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createHttpServer, type HttpServer, type HttpServerSettings } from '../../src/http/server.ts'
import type { SecretKey } from '../../src/nix/signature.ts'
import { type Logger, silentLogger } from '../../src/util/log.ts'
import { MemoryStore } from './memory-store.ts'

export interface CacheOptions {
  readonly settings?: Partial<HttpServerSettings>
  readonly keys?: readonly SecretKey[]
  readonly logger?: Logger
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A server that runs until the test ends. */
export class Cache {
  readonly store: MemoryStore
  readonly server: HttpServer

  private constructor(store: MemoryStore, server: HttpServer) {
    this.store = store
    this.server = server
  }

  static async start(t: TestContext, options: CacheOptions = {}): Promise<Cache> {
    const store = new MemoryStore()
    const server = createHttpServer({
      store,
      keys: options.keys ?? [],
      settings: {
        host: '127.0.0.1',
        port: 0,
        priority: 30,
        wantMassQuery: true,
        maxTransfers: 64,
        ...options.settings,
        timeouts: { stop: 500, ...options.settings?.timeouts },
      },
      logger: options.logger ?? silentLogger,
      version: '1.2.3',
    })
    await server.start()
    t.after(() => server.stop())
    return new Cache(store, server)
  }

  get port(): number {
    return this.server.address!.port
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.request('GET', path, headers)
  }

  head(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.request('HEAD', path, headers)
  }

  /** One request on a connection of its own. Rejects when the body does not end as promised. */
  request(method: string, path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const sent = request({ port: this.port, host: '127.0.0.1', method, path, headers, agent: false })
      sent.once('error', reject)
      sent.once('response', async (response) => {
        try {
          const chunks: Buffer[] = []
          for await (const chunk of response) chunks.push(chunk)
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) })
        } catch (error) {
          reject(error)
        }
      })
      sent.end()
    })
  }

  /** A connection for bytes of the test's own making. */
  connect(): Socket {
    return connect(this.port, '127.0.0.1')
  }

  /** Sends the text and gives everything that comes back until the connection closes. */
  async raw(text: string): Promise<string> {
    const socket = this.connect()
    socket.write(text, 'latin1')
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk)
    return Buffer.concat(chunks).toString('latin1')
  }
}

/** A log that keeps its lines. */
export function recordingLogger(): { logger: Logger; lines: { level: string; message: string }[] } {
  const lines: { level: string; message: string }[] = []
  const method = (level: string) => (first: unknown, second?: string) => {
    lines.push({ level, message: second ?? String(first) })
  }
  const logger: Logger = {
    trace: method('trace'),
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    child: () => logger,
  }
  return { logger, lines }
}

/** Waits until the condition holds; the test's own time limit ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
