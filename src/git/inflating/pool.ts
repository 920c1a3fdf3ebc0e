import { availableParallelism } from 'node:os'
import { GachixError } from '../../util/errors.ts'
import type { SharedBuffer } from '../../util/shared-chunks.ts'
import { WorkerPool } from '../../util/worker-pool.ts'
import { workerUrl } from '../../util/worker-url.ts'
import type { InflateReply, InflateRequest } from './messages.ts'

/** A worker's own objects are few and short-lived. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 }

/** A thread that inflates has failed. What it had under way can be asked for again: another thread takes its place. */
export class InflateWorkerError extends GachixError {
  constructor(reason: string, cause?: unknown) {
    super('ERR_INFLATE_WORKER', `a thread that inflates failed: ${reason}`, { cause })
  }
}

/** Inflates whole raw deflate streams on worker threads, which start with the first one. */
export class InflatePool {
  readonly #pool: WorkerPool<InflateRequest, InflateReply>

  /** @param workers most threads; by default one a core */
  constructor(workers: number = availableParallelism()) {
    this.#pool = new WorkerPool({
      module: workerUrl(import.meta.url, 'inflate-worker'),
      limit: workers,
      resourceLimits: WORKER_LIMITS,
      lost: (reason, cause) => new InflateWorkerError(reason, cause),
    })
  }

  /** Most threads. */
  get workers(): number {
    return this.#pool.limit
  }

  /** Bytes of content that are waited for. */
  get load(): number {
    return this.#pool.load
  }

  /**
   * Inflates a raw deflate stream. Its memory and that for the content are the pool's until the promise settles.
   *
   * @param deflated begins where its memory does
   * @param target all of its memory, more than `size` bytes
   * @param size bytes that must come out
   * @returns CRC-32 of the content, or what is wrong with the stream
   * @throws InflateWorkerError; AbortedError when the pool is closed
   */
  async inflate(deflated: SharedBuffer, target: SharedBuffer, size: number): Promise<number | string> {
    const { buffer, length } = deflated
    const request = { deflated: buffer, length, target: target.buffer, size }
    return (await this.#pool.request(request, Math.max(1, size))).result
  }

  /** Ends the threads; what they have under way is rejected. */
  async close(): Promise<void> {
    await this.#pool.close()
  }
}
