import { type ResourceLimits, Worker } from 'node:worker_threads'
import { AbortedError } from './errors.ts'

export interface WorkerPoolOptions {
  /** The threads' module. It answers every message that has an `id` with one message of that `id`. */
  readonly module: URL
  /** Most threads. */
  readonly limit: number
  readonly resourceLimits: ResourceLimits
  /** What each thread is started with. */
  readonly workerData?: () => unknown
  /** The error for what a thread had under way that is gone. */
  readonly lost: (reason: string, cause?: unknown) => Error
}

interface Thread {
  readonly worker: Worker
  /** Of requests without an answer. */
  load: number
}

interface Waiting<Reply> {
  readonly thread: Thread
  readonly load: number
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

/**
 * Threads of one kind that answer requests. They start with the first requests, keep the process alive only while they have
 * something to do, and are replaced when they fail.
 */
export class WorkerPool<Request extends object, Reply extends { readonly id: number }> {
  readonly #options: WorkerPoolOptions
  readonly #threads: Thread[] = []
  readonly #waiting = new Map<number, Waiting<Reply>>()
  #nextId = 0
  #load = 0
  #closed = false

  constructor(options: WorkerPoolOptions) {
    this.#options = options
  }

  /** Most threads. */
  get limit(): number {
    return this.#options.limit
  }

  /** Whether there are threads. */
  get started(): boolean {
    return this.#threads.length > 0
  }

  /** The loads of all requests that have not been answered yet. */
  get load(): number {
    return this.#load
  }

  /** Whether there is a thread with less than so much to do, or another one can be started. */
  hasRoom(load: number): boolean {
    return this.#threads.length < this.limit || this.#threads.some((thread) => thread.load < load)
  }

  /**
   * Has a request answered by the thread that has the least to do.
   *
   * @param load what it costs, in units of the caller's; at least 1
   * @throws what `lost` makes, when the thread ends before; AbortedError when the pool is closed
   */
  request(request: Request, load: number): Promise<Reply> {
    if (this.#closed) return Promise.reject(new AbortedError('the worker pool is closed'))
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const thread = this.#leastLoaded()
    const id = this.#nextId++
    if (thread.load === 0) thread.worker.ref()
    thread.load += load
    this.#load += load
    this.#waiting.set(id, { thread, load, resolve, reject })
    thread.worker.postMessage({ ...request, id })
    return promise
  }

  /** Ends the threads; what they have under way is rejected. */
  async close(): Promise<void> {
    this.#closed = true
    const threads = this.#threads.splice(0)
    const error = new AbortedError('the worker pool was closed')
    for (const thread of threads) this.#rejectAll(thread, error)
    await Promise.all(threads.map(({ worker }) => worker.terminate()))
  }

  #leastLoaded(): Thread {
    let best: Thread | undefined
    for (const thread of this.#threads) if (best === undefined || thread.load < best.load) best = thread
    if (best !== undefined && (best.load === 0 || this.#threads.length >= this.limit)) return best
    return this.#start()
  }

  #start(): Thread {
    const { module, resourceLimits, workerData, lost } = this.#options
    const thread = { worker: new Worker(module, { resourceLimits, workerData: workerData?.() }), load: 0 }
    thread.worker.on('message', (reply: Reply) => this.#receive(reply))
    thread.worker.on('error', (error) => this.#lose(thread, lost(String(error), error)))
    thread.worker.on('exit', (code) => this.#lose(thread, lost(`it ended with code ${code}`)))
    this.#threads.push(thread)
    return thread
  }

  #receive(reply: Reply): void {
    const waiting = this.#settle(reply.id)
    if (waiting === undefined) return
    if (waiting.thread.load === 0) waiting.thread.worker.unref()
    waiting.resolve(reply)
  }

  /** A thread is gone: what it had under way fails, the others go on. */
  #lose(thread: Thread, error: Error): void {
    const at = this.#threads.indexOf(thread)
    if (at >= 0) this.#threads.splice(at, 1)
    this.#rejectAll(thread, error)
  }

  #rejectAll(thread: Thread, error: Error): void {
    for (const [id, waiting] of this.#waiting) {
      if (waiting.thread === thread) this.#settle(id)?.reject(error)
    }
  }

  #settle(id: number): Waiting<Reply> | undefined {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return undefined
    this.#waiting.delete(id)
    waiting.thread.load -= waiting.load
    this.#load -= waiting.load
    return waiting
  }
}
