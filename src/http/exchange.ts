import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

import { type ClientWatch, watchClient } from './client-signal.ts'

/** One request and the answer to it. `HEAD` is answered by the code for `GET`: Node leaves the body away. */
export class Exchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  #watch: ClientWatch | undefined

  constructor(req: IncomingMessage, res: ServerResponse) {
    this.req = req
    this.res = res
  }

  get isHead(): boolean {
    return this.req.method === 'HEAD'
  }

  /** Fires when the client leaves before the answer is complete. Made when first asked for: most answers never wait. */
  get signal(): AbortSignal {
    this.#watch ??= watchClient(this.req.socket)
    return this.#watch.signal
  }

  /** A request header that may occur once (Node joins repeated ones by comma or drops the later ones). */
  header(name: string): string | undefined {
    const value = this.req.headers[name]
    return typeof value === 'string' ? value : undefined
  }

  /** Answers with a body that is in memory: bytes, or a string of one character a byte. */
  send(status: number, headers: OutgoingHttpHeaders, body: Uint8Array | string): void {
    this.res.writeHead(status, { ...headers, 'Content-Length': body.length })
    this.res.end(body, 'latin1')
  }

  /** Answers with a line of plain text. It must not hold anything that the client sent. */
  text(status: number, message: string, headers?: OutgoingHttpHeaders): void {
    this.send(
      status,
      { 'Content-Type': 'text/plain; charset=utf-8', ...headers },
      Buffer.from(`${message}\n`),
    )
  }

  json(status: number, value: unknown): void {
    const body = Buffer.from(`${JSON.stringify(value)}\n`)
    this.send(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }, body)
  }

  /** Answers that what the client has is still right. */
  notModified(headers: OutgoingHttpHeaders): void {
    this.res.writeHead(304, headers)
    this.res.end()
  }

  /** To be called when the request has been dealt with. */
  close(): void {
    this.#watch?.release()
  }
}
