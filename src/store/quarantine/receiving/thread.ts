import { Worker } from 'node:worker_threads'
import { throwIfAborted } from '../../../git/inflate.ts'
import type { FinishedPack } from '../../../git/pack/finish.ts'
import { ChunkPool } from '../../../util/chunk-pool.ts'
import { AbortedError, GachixError } from '../../../util/errors.ts'
import type { AbortOptions } from '../../../util/lifecycle.ts'
import { whileWaiting } from '../../../util/while-waiting.ts'
import { workerUrl } from '../../../util/worker-url.ts'
import type { ReceivedPack } from '../../api.ts'
import type { Failure, FromReceiver, HashedNar, ReceiveTask, ToReceiver } from './messages.ts'
import type { NarRecipe } from './nar-recipe.ts'

/** Bytes of a pack that travel to the thread together. */
const CHUNK_BYTES = 256 * 1024
/** Chunks of one pack that are under way to it, or wait there. */
const CHUNKS_UNDER_WAY = 4
/** Chunks that wait to be used again. */
const FREE_CHUNKS = 8
/** Milliseconds without work after which the thread ends, so that its memory comes back. */
const IDLE_TIME = 10_000
/** Deltas that wait for their bases are objects; a pack with too many of them must not take the node with it. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 512 }

/** The thread that takes in packs has ended before its time. */
export class ReceiverLostError extends GachixError {
  constructor(problem: string, options?: ErrorOptions) {
    super(
      'ERR_RECEIVER_LOST',
      `taking in a pack was interrupted: ${problem}; it can be fetched again`,
      options,
    )
  }
}

interface Receiving {
  readonly onPack: (pack: FinishedPack) => Promise<void>
  /** Fulfilled once the packs that came of it are known. */
  known: Promise<unknown>
  /** Chunks under way. */
  chunks: number
  wake: (() => void) | undefined
  /** What the source has thrown. */
  failure: { readonly error: unknown } | undefined
  over: boolean
  readonly resolve: (received: ReceivedPack) => void
  readonly reject: (error: unknown) => void
}

/** Takes in packs, and hashes NARs as they come, on a thread of its own, which starts when there is something to do, or soon will be. */
export class ReceiverThread {
  #worker: Worker | undefined
  readonly #receiving = new Map<number, Receiving>()
  readonly #hashed = new Map<number, HashedNar>()
  /** Recipes that it has. */
  readonly #expected = new Set<number>()
  readonly #chunks = new ChunkPool(CHUNK_BYTES, FREE_CHUNKS)
  #nextId = 0
  #idle: NodeJS.Timeout | undefined
  #closed = false

  /** Milliseconds that the thread has worked since it was started; 0 without one. */
  get worked(): number {
    return this.#worker?.performance.eventLoopUtilization().active ?? 0
  }

  /** Starts the thread for what is about to come: that takes longer than many a question to a peer. */
  wake(): void {
    if (this.#closed) return
    this.#worker ??= this.#start()
    this.#rest()
  }

  /**
   * Takes in one pack, see `receivePack`.
   *
   * @param onPack told of every pack that it has become
   * @throws what `receivePack` throws, what the source throws, ReceiverLostError
   */
  async receive(
    source: AsyncIterable<Uint8Array>,
    task: ReceiveTask,
    onPack: (pack: FinishedPack) => Promise<void>,
    { signal }: AbortOptions = {},
  ): Promise<ReceivedPack> {
    throwIfAborted(signal)
    if (this.#closed) throw closedError()
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<ReceivedPack>()
    const receiving: Receiving = {
      ...{ onPack, resolve, reject },
      known: Promise.resolve(),
      chunks: 0,
      wake: undefined,
      failure: undefined,
      over: false,
    }
    this.#receiving.set(id, receiving)
    const abort = (): void => this.#say({ kind: 'abort', id })
    const iterator = source[Symbol.asyncIterator]()
    try {
      this.#say({ kind: 'begin', id, task })
      signal?.addEventListener('abort', abort, { once: true })
      // A source that hangs is left alone when the thread has an answer before.
      void this.#feed(id, receiving, { [Symbol.asyncIterator]: () => iterator }, task.limits.packBytes)
      const received = await promise
      await receiving.known
      return received
    } catch (error) {
      await receiving.known
      throwIfAborted(signal)
      throw error
    } finally {
      signal?.removeEventListener('abort', abort)
      receiving.over = true
      receiving.wake?.()
      void Promise.resolve(iterator.return?.()).catch(() => {})
      this.#receiving.delete(id)
      this.#rest()
    }
  }

  /** Has a NAR hashed as its blobs come. Gives a number for it. The recipe's memory moves to the thread, and nobody else may have any of it. */
  expect(recipe: NarRecipe): number {
    const id = this.#nextId++
    this.#expected.add(id)
    const { framing, ends, oids, known } = recipe
    const moved = [framing, ends, oids, ...known.values()].map(({ buffer }) => buffer as ArrayBuffer)
    this.#say({ kind: 'expect', id, recipe }, moved)
    return id
  }

  /** What became of a NAR; `undefined` when not all of it came in order. It is forgotten. */
  take(id: number): HashedNar | undefined {
    const hashed = this.#hashed.get(id)
    this.#hashed.delete(id)
    if (this.#expected.delete(id) && hashed === undefined) this.#say({ kind: 'forget', id })
    this.#rest()
    return hashed
  }

  /** Ends the thread; what is under way fails. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#idle)
    const worker = this.#worker
    this.#lose(closedError())
    await worker?.terminate()
  }

  /** @param most bytes that may come: the thread refuses the pack when it sees more, so that nothing further is read */
  async #feed(
    id: number,
    receiving: Receiving,
    source: AsyncIterable<Uint8Array>,
    most: number,
  ): Promise<void> {
    let chunk: Buffer | undefined
    let used = 0
    let read = 0
    // Once the thread has answered it is left to rest, whatever the source still does.
    const say = (message: ToReceiver, transfer?: ArrayBuffer[]): void => {
      if (!receiving.over) this.#say(message, transfer)
    }
    const send = async (): Promise<void> => {
      if (chunk === undefined || used === 0) return
      const buffer = chunk.buffer as ArrayBuffer
      say({ kind: 'chunk', id, buffer, length: used }, [buffer])
      receiving.chunks++
      chunk = undefined
      used = 0
    }
    try {
      // What has come goes on at once when more is not there yet.
      for await (const bytes of whileWaiting(source, send)) {
        for (let at = 0; at < bytes.length; ) {
          while (receiving.chunks >= CHUNKS_UNDER_WAY && !receiving.over) {
            await new Promise<void>((resolve) => {
              receiving.wake = resolve
            })
          }
          if (receiving.over) return
          chunk ??= this.#chunks.take()
          const part = bytes.subarray(at, at + chunk.length - used)
          chunk.set(part, used)
          used += part.length
          at += part.length
          if (used === chunk.length) await send()
        }
        read += bytes.length
        if (read > most) break
      }
      await send()
      say({ kind: 'end', id })
    } catch (error) {
      receiving.failure = { error }
      await send()
      say({ kind: 'broken', id })
    }
  }

  #say(message: ToReceiver, transfer: ArrayBuffer[] = []): void {
    if (this.#closed) return
    clearTimeout(this.#idle)
    this.#worker ??= this.#start()
    this.#worker.ref()
    this.#worker.postMessage(message, transfer)
  }

  #start(): Worker {
    const worker = new Worker(workerUrl(import.meta.url, 'receive-worker'), { resourceLimits: WORKER_LIMITS })
    worker.on('message', (message: FromReceiver) => this.#hear(message))
    worker.on('error', (error) => {
      if (worker === this.#worker) this.#lose(new ReceiverLostError(error.message, { cause: error }))
    })
    worker.on('exit', (code) => {
      if (worker === this.#worker) this.#lose(new ReceiverLostError(`its thread ended with code ${code}`))
    })
    return worker
  }

  #hear(message: FromReceiver): void {
    if (message.kind === 'hashed') {
      if (this.#expected.has(message.id)) this.#hashed.set(message.id, message.nar)
      return
    }
    const receiving = this.#receiving.get(message.id)
    switch (message.kind) {
      case 'taken':
        this.#chunks.give(new Uint8Array(message.buffer))
        if (receiving === undefined) return
        receiving.chunks--
        receiving.wake?.()
        break
      case 'pack':
        if (receiving !== undefined) {
          const { known } = receiving
          receiving.known = known.then(() => receiving.onPack(message.pack))
          receiving.known.catch(receiving.reject)
        }
        break
      case 'received':
        receiving?.resolve(message.received)
        break
      case 'failed':
        receiving?.reject(errorOf(message.failure, receiving))
        break
    }
  }

  /** Ends the thread after a while when nobody needs it. */
  #rest(): void {
    if (this.#receiving.size > 0) return
    this.#worker?.unref()
    if (this.#expected.size > 0) return
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      const worker = this.#worker
      this.#worker = undefined
      void worker?.terminate()
    }, IDLE_TIME).unref()
  }

  /** The thread is gone: what it had under way fails, and the next pack gets another one. */
  #lose(error: Error): void {
    this.#worker = undefined
    this.#hashed.clear()
    this.#expected.clear()
    for (const receiving of this.#receiving.values()) receiving.reject(error)
  }
}

function closedError(): AbortedError {
  return new AbortedError('the store was closed')
}

function errorOf({ ofSource, known, code, message }: Failure, { failure }: Receiving): unknown {
  if (ofSource && failure !== undefined) return failure.error
  if (known && code !== undefined) return new GachixError(code, message)
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}
