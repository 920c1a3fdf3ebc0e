import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'

/** What a decoder thread gets: a piece of input, or `undefined` for its end; leave to write one piece more; or to stop. */
export type ToDecoder =
  | { readonly input: Uint8Array | undefined }
  | { readonly taken: true }
  | { readonly cancelled: true }

/** What a decoder thread sends. `wanted` asks for input. */
export type FromDecoder =
  | { readonly wanted: true }
  | { readonly output: Uint8Array }
  | { readonly done: true }
  | { readonly error: string }

/** What starts a job in a decoder thread. */
export interface DecoderJob {
  readonly codec: 'xz' | 'bzip2'
  readonly port: MessagePort
  /** Counts the messages to the thread, so that it can sleep until there is one. */
  readonly sent: Int32Array
}

/** Pieces of output that may wait to be taken. */
const WINDOW = 16

/**
 * The thread's end of a job: reads and writes that wait without giving the thread away. Decoders that know nothing of
 * waiting are held back by it, so that neither side collects more than a few pieces.
 */
export class SyncPort {
  readonly #port: MessagePort
  readonly #sent: Int32Array
  readonly #inputs: (Uint8Array | undefined)[] = []
  #waiting = 0
  #ended = false

  constructor({ port, sent }: DecoderJob) {
    this.#port = port
    this.#sent = sent
  }

  /** The next piece of input; `undefined` at its end. */
  read(): Uint8Array | undefined {
    if (this.#ended) return undefined
    this.#post({ wanted: true })
    while (this.#inputs.length === 0) this.#receive()
    const input = this.#inputs.shift()
    this.#ended = input === undefined
    return input
  }

  /** Hands output over, which must not be used again. */
  write(output: Uint8Array<ArrayBuffer>): void {
    while (this.#waiting >= WINDOW) this.#receive()
    this.#waiting++
    this.#port.postMessage({ output } satisfies FromDecoder, [output.buffer])
  }

  /** Ends the job. */
  finish(error?: unknown): void {
    this.#post(
      error === undefined
        ? { done: true }
        : { error: error instanceof Error ? error.message : String(error) },
    )
    this.#port.close()
  }

  #post(message: FromDecoder): void {
    this.#port.postMessage(message)
  }

  /** Takes in one message, waiting for it. */
  #receive(): void {
    for (;;) {
      const seen = Atomics.load(this.#sent, 0)
      const received = receiveMessageOnPort(this.#port) as { message: ToDecoder } | undefined
      if (received !== undefined) {
        if ('cancelled' in received.message) throw new Error('it is not wanted any more')
        if ('taken' in received.message) this.#waiting--
        else this.#inputs.push(received.message.input)
        return
      }
      Atomics.wait(this.#sent, 0, seen)
    }
  }
}
