import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { workerUrl } from '../../../util/worker-url.ts'
import type { DecoderJob, FromDecoder, ToDecoder } from './sync-port.ts'

/** Threads without work that are kept for the next NAR. */
const KEPT_THREADS = 2

/** Milliseconds that a thread may be busy without a word. A damaged file can send a decoder round in circles. */
const SILENCE = 20_000

/** A piece of 64 KiB takes a few megabytes; a block of bzip2 nine. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 }

const idle: Worker[] = []

/**
 * Decodes in a thread. One piece of input at a time is on its way, and a few of output, so that memory does not depend
 * on what is decoded.
 *
 * @throws Error of the decoder, or of `input`; a thread that gave no sign of life is ended
 */
export async function* decodeInThread(
  codec: DecoderJob['codec'],
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const worker =
    idle.pop() ?? new Worker(workerUrl(import.meta.url, 'worker'), { resourceLimits: WORKER_LIMITS })
  worker.ref()
  const job = new Job(worker, codec)
  const pieces = input[Symbol.asyncIterator]()
  let finished = false
  try {
    for (;;) {
      const message = await job.next()
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
    finished = true
    // What follows the end belongs to the file, and whoever measures it wants to see it.
    for (let rest = await pieces.next(); rest.done !== true; rest = await pieces.next());
  } finally {
    job.close()
    if (finished && idle.length < KEPT_THREADS) {
      worker.unref()
      idle.push(worker)
    } else {
      await worker.terminate()
    }
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

  async next(): Promise<FromDecoder> {
    while (this.#messages.length === 0) {
      if (this.#failure !== undefined) throw this.#failure
      const timer = setTimeout(() => this.#fail(new Error('it cannot be decoded in any time')), SILENCE)
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

  close(): void {
    this.#worker.off('error', this.#fail).off('exit', this.#fail)
    this.#port.close()
  }

  readonly #fail = (cause: unknown): void => {
    this.#failure ??= cause instanceof Error ? cause : new Error('the thread that decodes has ended')
    this.#wake?.()
  }
}
