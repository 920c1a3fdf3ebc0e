import { availableParallelism } from 'node:os'
import { GachixError } from '../../util/errors.ts'
import { WorkerPool } from '../../util/worker-pool.ts'
import { workerUrl } from '../../util/worker-url.ts'
import { CHUNK_SIZE, type EncodedChunk } from './chunk.ts'
import { loadChunkModule } from './chunk-deflater.ts'
import type { DeflateReply, DeflateRequest, DeflateWorkerData } from './messages.ts'
import { Portion } from './portion.ts'
import { PortionEncoder } from './portion-encoder.ts'

/**
 * Portions that wait to be used again, for each worker: what one pack under way has at most. V8 does not count shared memory, and
 * lets what is dropped lie about for long.
 */
const KEPT_PORTIONS = 24

/** A worker with less than this before it can take another portion that is not full. */
const LITTLE_LOAD = CHUNK_SIZE

/**
 * So little is deflated at once, in a millisecond, as long as no thread has been started: one costs 15 MB of memory, and all that a node that pulls
 * has to deflate are narinfos.
 */
const LITTLE_CONTENT = 64 * 1024

/** A worker's objects are few and short-lived. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 }

export interface DeflatePoolOptions {
  /** 1 to 9. */
  level: number
  /** Number of worker threads, by default one a core. */
  workers?: number
  /** Whether the threads stand back for others that want a processor: for a process that answers requests meanwhile. */
  behind?: boolean
}

/** Deflates contents on worker threads, which start with the first portion that is not small. */
export class DeflatePool {
  readonly #threads: WorkerPool<Omit<DeflateRequest, 'id'>, DeflateReply>
  readonly #free: Portion[] = []
  readonly #waiting: (() => void)[] = []
  readonly #level: number
  #module: WebAssembly.Module | undefined
  #own: PortionEncoder | undefined
  #closed = false

  constructor({ level, workers = availableParallelism(), behind = false }: DeflatePoolOptions) {
    this.#level = level
    this.#threads = new WorkerPool({
      module: workerUrl(import.meta.url, 'deflate-worker'),
      limit: workers,
      resourceLimits: WORKER_LIMITS,
      workerData: (): DeflateWorkerData => ({ module: this.#compiled(), level, behind }),
      lost: (reason, cause) =>
        new GachixError('ERR_DEFLATE', `a deflate worker failed: ${reason}`, { cause }),
    })
  }

  /** An empty portion. Who takes many without giving them back takes much memory. */
  take(): Portion {
    return this.#free.pop() ?? new Portion()
  }

  /** Takes back a portion that nobody uses any more, its chunks neither. */
  give(portion: Portion): void {
    if (this.#free.length >= KEPT_PORTIONS * this.#threads.limit) return
    portion.clear()
    this.#free.push(portion)
  }

  /**
   * Deflates the contents of a portion. Nobody may touch it before the promise is settled.
   *
   * @returns the chunks, in the portion's memory
   * @throws GachixError `ERR_DEFLATE` when a worker failed, `ERR_ABORTED` when the pool was closed
   */
  async encode(portion: Portion): Promise<EncodedChunk[]> {
    const { memory, lengths, size } = portion
    const results =
      size <= LITTLE_CONTENT && !this.#threads.started && !this.#closed
        ? this.#encoder().encode(memory, lengths)
        : await this.#encodeElsewhere(memory, lengths, size)
    const chunks: EncodedChunk[] = []
    for (let i = 0, offset = 0; i < results.length; i += 3) {
      const length = results[i]!
      const deflated = portion.bytes.subarray(offset, offset + length)
      chunks.push({ deflated, adler32: results[i + 1]!, crc32: results[i + 2]! })
      offset += length
    }
    return chunks
  }

  /**
   * Calls back when a worker has little to do, never at once: until then a portion may as well be filled. When the pool is
   * closed it calls back too.
   */
  whenReady(callback: () => void): void {
    setImmediate(() => {
      this.#waiting.push(callback)
      this.#tell()
    })
  }

  /** Ends the workers; what is under way is rejected. */
  async close(): Promise<void> {
    this.#closed = true
    this.#free.length = 0
    const closing = this.#threads.close()
    this.#tell()
    await closing
  }

  async #encodeElsewhere(
    memory: SharedArrayBuffer,
    lengths: readonly number[],
    size: number,
  ): Promise<readonly number[]> {
    const reply = await this.#threads.request({ memory, lengths }, size).finally(() => this.#tell())
    const { results, error } = reply
    if (results === undefined)
      throw new GachixError('ERR_DEFLATE', `deflating failed: ${error ?? 'no answer'}`)
    return results
  }

  /** For this thread. */
  #encoder(): PortionEncoder {
    this.#own ??= new PortionEncoder(this.#compiled(), this.#level)
    return this.#own
  }

  #compiled(): WebAssembly.Module {
    this.#module ??= loadChunkModule()
    return this.#module
  }

  /** Calls back those who wait, as long as there is room. */
  #tell(): void {
    while (this.#waiting.length > 0 && (this.#closed || this.#threads.hasRoom(LITTLE_LOAD)))
      this.#waiting.shift()!()
  }
}
