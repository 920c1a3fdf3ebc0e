import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { AbortedError, GachixError } from '../../util/errors.ts'
import { workerUrl } from '../../util/worker-url.ts'
import { CHUNK_SIZE, type EncodedChunk } from './chunk.ts'
import { loadChunkModule } from './chunk-deflater.ts'
import type { DeflateReply, DeflateRequest, DeflateWorkerData } from './messages.ts'
import { Portion } from './portion.ts'

/**
 * Portions that wait to be used again, for each worker: what one pack under way has at most. V8 does not count shared memory, and
 * lets what is dropped lie about for long.
 */
const KEPT_PORTIONS = 24

/** A worker with less than this before it can take another portion that is not full. */
const LITTLE_LOAD = CHUNK_SIZE

/** A worker's objects are few and short-lived. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 }

export interface DeflatePoolOptions {
  /** 1 to 9. */
  level: number
  /** Number of worker threads, by default one a core. */
  workers?: number
}

interface PoolWorker {
  readonly thread: Worker
  /** Bytes sent and not answered. */
  load: number
}

interface Task {
  readonly worker: PoolWorker
  readonly portion: Portion
  readonly resolve: (chunks: EncodedChunk[]) => void
  readonly reject: (error: Error) => void
}

/** Deflates contents on worker threads, which start with the first portion. */
export class DeflatePool {
  readonly #level: number
  readonly #limit: number
  readonly #workers: PoolWorker[] = []
  readonly #tasks = new Map<number, Task>()
  readonly #free: Portion[] = []
  readonly #waiting: (() => void)[] = []
  #module: WebAssembly.Module | undefined
  #nextId = 0
  #closed = false

  constructor(options: DeflatePoolOptions) {
    this.#level = options.level
    this.#limit = options.workers ?? availableParallelism()
  }

  /** An empty portion. Who takes many without giving them back takes much memory. */
  take(): Portion {
    return this.#free.pop() ?? new Portion()
  }

  /** Takes back a portion that nobody uses any more, its chunks neither. */
  give(portion: Portion): void {
    if (this.#free.length >= KEPT_PORTIONS * this.#limit) return
    portion.clear()
    this.#free.push(portion)
  }

  /**
   * Deflates the contents of a portion. Nobody may touch it before the promise is settled.
   *
   * @returns the chunks, in the portion's memory
   * @throws GachixError `ERR_DEFLATE` when a worker failed, `ERR_ABORTED` when the pool was closed
   */
  encode(portion: Portion): Promise<EncodedChunk[]> {
    if (this.#closed) return Promise.reject(new AbortedError('the deflate pool is closed'))
    const { promise, resolve, reject } = Promise.withResolvers<EncodedChunk[]>()
    const worker = this.#leastLoaded()
    const id = this.#nextId++
    // Only work under way may keep the process alive.
    if (worker.load === 0) worker.thread.ref()
    worker.load += portion.size
    this.#tasks.set(id, { worker, portion, resolve, reject })
    const { memory, lengths } = portion
    worker.thread.postMessage({ id, memory, lengths } satisfies DeflateRequest)
    return promise
  }

  /**
   * Calls back when a worker has little to do, never at once: until then a portion may as well be filled. When the pool is
   * closed it calls back too.
   */
  whenReady(callback: () => void): void {
    setImmediate(() => {
      if (this.#closed || this.#hasRoom()) callback()
      else this.#waiting.push(callback)
    })
  }

  /** Ends the workers; what is under way is rejected. */
  async close(): Promise<void> {
    this.#closed = true
    this.#free.length = 0
    const workers = [...this.#workers]
    for (const worker of workers) this.#lose(worker, new AbortedError('the deflate pool was closed'))
    await Promise.all(workers.map((worker) => worker.thread.terminate()))
  }

  #hasRoom(): boolean {
    return this.#workers.length < this.#limit || this.#workers.some(({ load }) => load < LITTLE_LOAD)
  }

  #leastLoaded(): PoolWorker {
    let best: PoolWorker | undefined
    for (const worker of this.#workers) if (best === undefined || worker.load < best.load) best = worker
    if (best !== undefined && (best.load === 0 || this.#workers.length >= this.#limit)) return best
    return this.#startWorker()
  }

  #startWorker(): PoolWorker {
    this.#module ??= loadChunkModule()
    const thread = new Worker(workerUrl(import.meta.url, 'worker'), {
      resourceLimits: WORKER_LIMITS,
      workerData: { module: this.#module, level: this.#level } satisfies DeflateWorkerData,
    })
    thread.on('message', (reply: DeflateReply) => this.#receive(reply))
    const worker = { thread, load: 0 }
    thread.on('error', (error) =>
      this.#lose(
        worker,
        new GachixError('ERR_DEFLATE', `a deflate worker failed: ${error}`, { cause: error }),
      ),
    )
    thread.on('exit', (code) =>
      this.#lose(worker, new GachixError('ERR_DEFLATE', `a deflate worker ended with code ${code}`)),
    )
    this.#workers.push(worker)
    return worker
  }

  #receive({ id, results, error }: DeflateReply): void {
    const task = this.#tasks.get(id)
    if (task === undefined) return
    this.#tasks.delete(id)
    const { worker, portion } = task
    worker.load -= portion.size
    if (worker.load === 0) worker.thread.unref()
    while (this.#waiting.length > 0 && this.#hasRoom()) this.#waiting.shift()!()
    if (results === undefined) {
      task.reject(new GachixError('ERR_DEFLATE', `deflating failed: ${error ?? 'no answer'}`))
      return
    }
    const chunks: EncodedChunk[] = []
    for (let i = 0, offset = 0; i < results.length; i += 3) {
      const length = results[i]!
      const deflated = portion.bytes.subarray(offset, offset + length)
      chunks.push({ deflated, adler32: results[i + 1]!, crc32: results[i + 2]! })
      offset += length
    }
    task.resolve(chunks)
  }

  /** A worker is gone: what it had under way fails, the others go on. */
  #lose(worker: PoolWorker, error: Error): void {
    const at = this.#workers.indexOf(worker)
    if (at >= 0) this.#workers.splice(at, 1)
    for (const [id, task] of this.#tasks) {
      if (task.worker !== worker) continue
      this.#tasks.delete(id)
      task.reject(error)
    }
    for (const callback of this.#waiting.splice(0)) callback()
  }
}
