/**
 * A keep-alive HTTP/1.1 connection that asks for one file after the other and throws the bodies away. It does less
 * than `node:http` on purpose: on a small machine the client takes CPU from the server, and a slow client makes all
 * servers look alike. Bodies must have a `Content-Length`.
 */
import { connect, type Socket } from 'node:net'

const HEAD_END = '\r\n\r\n'
const READ_BUFFER = 256 * 1024
const MAX_HEAD = 16 * 1024

export interface Answer {
  readonly status: number
  /** Bytes of the body. */
  readonly size: number
}

interface Pending {
  readonly path: string
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

export class HttpConnection {
  readonly #socket: Socket
  readonly #host: string
  #pending: Pending | undefined
  /** What has come of the head, and once it is complete the answer that it announced. */
  #head = ''
  #answer: Answer | undefined
  /** Bytes of the body that are still to come. */
  #left = 0
  #failure: Error | undefined

  private constructor(port: number) {
    this.#host = `127.0.0.1:${port}`
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      // One buffer for all reads: nothing is allocated for a body.
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BUFFER),
        callback: (length, buffer) => {
          this.#received(buffer as Buffer, length)
          return true
        },
      },
    })
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error('the server closed the connection')))
  }

  static async open(port: number): Promise<HttpConnection> {
    const connection = new HttpConnection(port)
    await new Promise<void>((resolve, reject) => {
      connection.#socket.once('connect', resolve)
      connection.#socket.once('error', reject)
    })
    return connection
  }

  /** Asks for a file and resolves when the last byte of its body is there. One at a time. */
  get(path: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure)
        return
      }
      this.#pending = { path, resolve, reject }
      this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\nAccept: */*\r\n\r\n`)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #fail(error: Error): void {
    const pending = this.#pending
    this.#pending = undefined
    this.#failure ??= error
    this.#socket.destroy()
    pending?.reject(new Error(`${pending.path}: ${error.message}`, { cause: error }))
  }

  #received(buffer: Buffer, length: number): void {
    let bodyBytes = length
    if (this.#answer === undefined) {
      const seen = this.#head.length
      this.#head += buffer.toString('latin1', 0, Math.min(length, MAX_HEAD))
      const end = this.#head.indexOf(HEAD_END)
      if (end < 0) {
        if (this.#head.length >= MAX_HEAD) this.#fail(new Error('the head of the answer does not end'))
        return
      }
      bodyBytes = length - (end + HEAD_END.length - seen)
      const answer = parseHead(this.#head.slice(0, end))
      if (answer === undefined) {
        this.#fail(new Error(`not understood: ${JSON.stringify(this.#head.slice(0, end))}`))
        return
      }
      this.#answer = answer
      this.#left = answer.size
    }
    this.#left -= bodyBytes
    if (this.#left < 0) this.#fail(new Error(`${-this.#left} bytes more than Content-Length says`))
    else if (this.#left === 0) this.#complete(this.#answer)
  }

  #complete(answer: Answer): void {
    const pending = this.#pending
    this.#pending = undefined
    this.#head = ''
    this.#answer = undefined
    pending?.resolve(answer)
  }
}

function parseHead(head: string): Answer | undefined {
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]
  const size = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  return status === undefined || size === undefined
    ? undefined
    : { status: Number(status), size: Number(size) }
}
