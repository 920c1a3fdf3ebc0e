import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { AbortedError, GachixError } from '../../util/errors.ts'
import { createReclaimer } from '../../util/reclaim.ts'
import { workerUrl } from '../../util/worker-url.ts'
import type { EncodedChunk } from './chunk.ts'
import type { DeflateReply, DeflateRequest } from './messages.ts'

/** Small chunks are collected to this many bytes before they travel: a message costs more than deflating one. */
const BATCH_BYTES = 128 * 1024
/** From this size on a chunk travels alone. */
const LARGE_CHUNK = 64 * 1024

/** A worker's objects are few and short-lived; a small young generation has its buffers given back soon. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 }

export interface DeflatePoolOptions {
  /** zlib level, 1 to 9. */
  level: number
  /** Number of worker threads, by default one a core. */
  workers?: number
}

interface Waiting {
  readonly resolve: (chunk: EncodedChunk) => void
  readonly reject: (error: Error) => void
}

interface PoolWorker {
  readonly thread: Worker
  /** Bytes sent and not answered. */
  load: number
}

interface Batch {
  readonly worker: PoolWorker
  readonly size: number
  readonly waiting: readonly Waiting[]
}

/** Deflates blob chunks on worker threads, which start with the first chunk. */
export class DeflatePool {
  readonly #level: number
  readonly #limit: number
  readonly #workers: PoolWorker[] = []
  readonly #batches = new Map<number, Batch>()
  #nextId = 0
  #collected: { bytes: Uint8Array[]; lengths: number[]; waiting: Waiting[]; size: number } | undefined
  #closed = false
  readonly #reclaim = createReclaimer()

  constructor(options: DeflatePoolOptions) {
    this.#level = options.level
    this.#limit = options.workers ?? availableParallelism()
  }

  /**
   * Deflates the content that follows `dictionaryLength` bytes of dictionary in `buffer`. The pool takes `buffer` over:
   * it must own its memory and not be used again.
   *
   * @throws GachixError `ERR_DEFLATE` when a worker failed, `ERR_ABORTED` when the pool was closed
   */
  encode(buffer: Uint8Array<ArrayBuffer>, dictionaryLength: number): Promise<EncodedChunk> {
    if (this.#closed) return Promise.reject(new AbortedError('the deflate pool is closed'))
    const { promise, resolve, reject } = Promise.withResolvers<EncodedChunk>()
    const waiting = { resolve, reject }
    if (buffer.length >= LARGE_CHUNK) {
      const whole = buffer.byteLength === buffer.buffer.byteLength ? buffer : buffer.slice()
      this.#send(whole.buffer, [dictionaryLength, buffer.length], [waiting])
      return promise
    }
    if (this.#collected === undefined) {
      this.#collected = { bytes: [], lengths: [], waiting: [], size: 0 }
      setImmediate(() => this.#flush())
    }
    const collected = this.#collected
    collected.bytes.push(buffer)
    collected.lengths.push(dictionaryLength, buffer.length)
    collected.waiting.push(waiting)
    collected.size += buffer.length
    if (collected.size >= BATCH_BYTES) this.#flush()
    return promise
  }

  /** Ends the workers; chunks under way are rejected. */
  async close(): Promise<void> {
    this.#closed = true
    const workers = [...this.#workers]
    this.#failAll(new AbortedError('the deflate pool was closed'))
    await Promise.all(workers.map((worker) => worker.thread.terminate()))
  }

  #flush(): void {
    const collected = this.#collected
    if (collected === undefined) return
    this.#collected = undefined
    const bytes = new Uint8Array(collected.size)
    let offset = 0
    for (const part of collected.bytes) {
      bytes.set(part, offset)
      offset += part.length
    }
    this.#send(bytes.buffer, collected.lengths, collected.waiting)
  }

  #send(bytes: ArrayBuffer, lengths: number[], waiting: Waiting[]): void {
    const size = bytes.byteLength
    const worker = this.#leastLoaded()
    const id = this.#nextId++
    // Only work under way may keep the process alive.
    if (worker.load === 0) worker.thread.ref()
    worker.load += size
    this.#batches.set(id, { worker, size, waiting })
    worker.thread.postMessage({ id, level: this.#level, bytes, lengths } satisfies DeflateRequest, [bytes])
  }

  #leastLoaded(): PoolWorker {
    let best: PoolWorker | undefined
    for (const worker of this.#workers) if (best === undefined || worker.load < best.load) best = worker
    if (best !== undefined && (best.load === 0 || this.#workers.length >= this.#limit)) return best
    return this.#startWorker()
  }

  #startWorker(): PoolWorker {
    const thread = new Worker(workerUrl(import.meta.url, 'worker'), { resourceLimits: WORKER_LIMITS })
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

  #receive(reply: DeflateReply): void {
    const batch = this.#batches.get(reply.id)
    if (batch === undefined) return
    this.#batches.delete(reply.id)
    batch.worker.load -= batch.size
    if (batch.worker.load === 0) batch.worker.thread.unref()
    this.#reclaim(2 * batch.size)
    const { bytes, results } = reply
    if (bytes === undefined || results === undefined) {
      const error = new GachixError('ERR_DEFLATE', `deflating failed: ${reply.error ?? 'no answer'}`)
      for (const waiting of batch.waiting) waiting.reject(error)
      return
    }
    let offset = 0
    batch.waiting.forEach((waiting, i) => {
      const length = results[3 * i]!
      const deflated = new Uint8Array(bytes, offset, length)
      offset += length
      waiting.resolve({ deflated, adler32: results[3 * i + 1]!, crc32: results[3 * i + 2]! })
    })
  }

  /** A worker is gone: what it had under way fails, the others go on. */
  #lose(worker: PoolWorker, error: Error): void {
    const at = this.#workers.indexOf(worker)
    if (at >= 0) this.#workers.splice(at, 1)
    for (const [id, batch] of this.#batches) {
      if (batch.worker !== worker) continue
      this.#batches.delete(id)
      for (const waiting of batch.waiting) waiting.reject(error)
    }
  }

  #failAll(error: Error): void {
    const collected = this.#collected
    this.#collected = undefined
    for (const waiting of collected?.waiting ?? []) waiting.reject(error)
    for (const worker of [...this.#workers]) this.#lose(worker, error)
  }
}
