import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads'
import type { DecoderJob, FromDecoder, ToDecoder } from './sync-port.ts'
import { giveThread, takeThread } from './threads.ts'

/** Milliseconds that a thread may be busy without a word. A damaged file can send a decoder round in circles. */
const SILENCE = 20_000

/** Milliseconds in which a thread gives up a job that nobody wants any more. */
const CANCEL_TIMEOUT = 1000

/**
 * Decodes in a thread. One piece of input at a time is on its way, and a few of output, so that memory does not depend
 * on what is decoded.
 *
 * @param signal ends the wait for a thread; what is read then is ended by `input`
 * @throws Error of the decoder, or of `input`; a thread that gave no sign of life is ended
 */
export async function* decodeInThread(
  codec: DecoderJob['codec'],
  input: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const worker = await takeThread(signal)
  const job = new Job(worker, codec)
  const pieces = input[Symbol.asyncIterator]()
  let isOver = false
  let isFree = false
  try {
    for (;;) {
      const message = await job.next(SILENCE)
      isOver = 'done' in message || 'error' in message
      isFree = 'done' in message
      if ('error' in message) throw new Error(message.error)
      if ('done' in message) break
      if ('output' in message) {
        yield message.output
        job.send({ taken: true })
      } else {
        const { done, value } = await pieces.next()
        job.send({ input: done === true ? undefined : value })
      }
    }
    // What follows the end belongs to the file, and whoever measures it wants to see it.
    for (let rest = await pieces.next(); rest.done !== true; rest = await pieces.next());
  } finally {
    if (!isOver) isFree = await job.cancel()
    job.close()
    await giveThread(worker, isFree)
    await pieces.return?.()
  }
}

/** Our end of a job. */
class Job {
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #sent = new Int32Array(new SharedArrayBuffer(4))
  readonly #messages: FromDecoder[] = []
  #wake: (() => void) | undefined
  #failure: Error | undefined

  constructor(worker: Worker, codec: DecoderJob['codec']) {
    const { port1, port2 } = new MessageChannel()
    this.#worker = worker
    this.#port = port1
    port1.on('message', (message: FromDecoder) => {
      this.#messages.push(message)
      this.#wake?.()
    })
    worker.on('error', this.#fail).on('exit', this.#fail)
    worker.postMessage({ codec, port: port2, sent: this.#sent } satisfies DecoderJob, [port2])
  }

  /** @param silence milliseconds that the thread may be without a word */
  async next(silence: number): Promise<FromDecoder> {
    while (this.#messages.length === 0) {
      if (this.#failure !== undefined) throw this.#failure
      const timer = setTimeout(() => this.#fail(new Error('it cannot be decoded in any time')), silence)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      clearTimeout(timer)
    }
    return this.#messages.shift()!
  }

  send(message: ToDecoder): void {
    this.#port.postMessage(message)
    Atomics.add(this.#sent, 0, 1)
    Atomics.notify(this.#sent, 0)
  }

  /** Calls the job off; tells whether the thread is free for another. */
  async cancel(): Promise<boolean> {
    this.send({ cancelled: true })
    try {
      for (;;) {
        const message = await this.next(CANCEL_TIMEOUT)
        if ('done' in message || 'error' in message) return true
      }
    } catch {
      return false
    }
  }

  close(): void {
    this.#worker.off('error', this.#fail).off('exit', this.#fail)
    this.#port.close()
  }

  readonly #fail = (cause: unknown): void => {
    this.#failure ??= cause instanceof Error ? cause : new Error('the thread that decodes has ended')
    this.#wake?.()
  }
}
