/** A small binary cache over HTTP that can be made to misbehave. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { formatNarInfo, type NarInfo } from '../../src/nix/narinfo.ts'
import type { MadePackage } from './packages.ts'

export interface ServedFile {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** Answers a request itself and returns nothing, or says what to send. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => ServedFile | undefined

export interface UpstreamServer extends AsyncDisposable {
  readonly url: string
  /** Paths that were asked for, in order. */
  readonly paths: string[]
  /** Heads of the requests. */
  readonly requests: IncomingMessage[]
  /** Connections that were made. */
  connections: number
  /** Ends the connections that are open. */
  cut(): void
}

/** What a cache of one package serves, by path; `changes` win. */
export function cacheOf(
  { info, nar }: MadePackage,
  changes: { readonly narInfo?: Partial<NarInfo>; readonly file?: Uint8Array } = {},
): Record<string, ServedFile | Answer> {
  const narInfo: NarInfo = { ...info, url: 'nar/file', compression: 'none', ...changes.narInfo }
  return {
    '/nix-cache-info': { body: `StoreDir: ${info.storePath.storeDir}\nPriority: 40\n` },
    [`/${info.storePath.hash}.narinfo`]: { body: formatNarInfo(narInfo) },
    '/nar/file': { body: changes.file ?? nar },
  }
}

export async function startUpstream(files: Record<string, ServedFile | Answer>): Promise<UpstreamServer> {
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    upstream.paths.push(path)
    upstream.requests.push(request)
    response.on('error', () => {})
    const file = files[path] ?? { status: 404 }
    const served = typeof file === 'function' ? file(request, response) : file
    if (served === undefined) return
    response.writeHead(served.status ?? 200, served.headers).end(served.body)
  })
  server.on('connection', (socket) => {
    upstream.connections++
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const upstream: UpstreamServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths: [],
    requests: [],
    connections: 0,
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  return upstream
}

/** Serves a body in ranges as static servers do, and cuts it after `after` bytes, `cuts` times. */
export function cutting(
  body: Uint8Array,
  options: { cuts: number; after: number; etag?: () => string },
): Answer {
  let { cuts } = options
  return (request, response) => {
    const etag = options.etag?.() ?? '"one"'
    const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]
    const inRange = asked !== undefined && (request.headers['if-range'] ?? etag) === etag
    const start = inRange ? Number(asked) : 0
    response.writeHead(inRange ? 206 : 200, {
      'Accept-Ranges': 'bytes',
      'Content-Length': body.length - start,
      ETag: etag,
      ...(inRange && { 'Content-Range': `bytes ${start}-${body.length - 1}/${body.length}` }),
    })
    if (cuts-- > 0) response.write(body.subarray(start, start + options.after), () => response.destroy())
    else response.end(body.subarray(start))
    return undefined
  }
}
