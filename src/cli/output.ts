import { errorCode } from '../util/errors.ts'

/** Characters that are gathered before they are written: a million rows take some hundred writes. */
const BUFFER_SIZE = 32 * 1024

/**
 * Standard output for results. A reader that has seen enough (`gachix list | head`) closes the pipe; that is no
 * failure: what is written after it is dropped, and `closed` tells a command that it may stop early.
 */
export class Output {
  readonly #stream: NodeJS.WritableStream
  #buffer = ''
  #closed = false
  #used = false

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream
    // Every failure also reaches the callback of the write that met it.
    stream.on('error', () => {})
  }

  /** Whether nobody reads any more. */
  get closed(): boolean {
    return this.#closed
  }

  /** Whether anything has been written. */
  get used(): boolean {
    return this.#used
  }

  /**
   * Writes text, sooner or later; `flush()` makes it now.
   *
   * @throws the system's error when the output fails otherwise than by being closed (a full disk)
   */
  async write(text: string): Promise<void> {
    this.#used = true
    if (this.#closed) return
    this.#buffer += text
    if (this.#buffer.length >= BUFFER_SIZE) await this.flush()
  }

  async line(text: string): Promise<void> {
    await this.write(`${text}\n`)
  }

  /** A value as JSON, indented for people. */
  async json(value: unknown): Promise<void> {
    await this.line(JSON.stringify(value, undefined, 2))
  }

  /** Writes values as one JSON array, each on a line of its own, as they come; stops early when nobody reads. */
  async jsonArray(values: AsyncIterable<unknown>): Promise<void> {
    let separator = '['
    for await (const value of values) {
      await this.write(`${separator}\n${JSON.stringify(value)}`)
      separator = ','
      if (this.#closed) return
    }
    await this.write(separator === '[' ? '[]\n' : '\n]\n')
  }

  /** Resolves when everything is handed to the system. */
  async flush(): Promise<void> {
    const text = this.#buffer
    this.#buffer = ''
    if (text === '' || this.#closed) return
    const error = await new Promise<Error | null | undefined>((resolve) => {
      this.#stream.write(text, resolve)
    })
    if (!error) return
    this.#closed = true
    if (errorCode(error) !== 'EPIPE') throw error
  }
}
