import { Worker } from 'node:worker_threads'
import { workerUrl } from '../../../util/worker-url.ts'
import { abortedError, throwIfAborted } from '../../abort.ts'

/** Threads at once. Who needs one more waits until one of the NARs is read, so nobody may hold as many and wait for another. */
const MAX_THREADS = 8

/** Threads without work that are kept, and the milliseconds for which they are. */
const KEPT_THREADS = 4
const KEEP_ALIVE = 10_000

/** A piece of 64 KiB takes a few megabytes; a block of bzip2 nine. */
const LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 }

const idle: Worker[] = []
const waiting: (() => void)[] = []
let taken = 0
let timer: NodeJS.Timeout | undefined

/**
 * A thread for one job, a new one or one that had another before.
 *
 * @throws AbortedError when the signal fires before one is free
 */
export async function takeThread(signal?: AbortSignal): Promise<Worker> {
  throwIfAborted(signal)
  if (taken === MAX_THREADS) await turn(signal)
  else taken++
  const worker =
    idle.pop() ?? new Worker(workerUrl(import.meta.url, 'codec-worker'), { resourceLimits: LIMITS })
  worker.ref()
  return worker
}

/** Gives a thread back. One that is not free for another job is ended. */
export async function giveThread(worker: Worker, isFree: boolean): Promise<void> {
  if (isFree && idle.length < KEPT_THREADS) {
    worker.unref()
    idle.push(worker)
    clearTimeout(timer)
    timer = setTimeout(endIdle, KEEP_ALIVE).unref()
  } else {
    await worker.terminate()
  }
  const next = waiting.shift()
  if (next === undefined) taken--
  else next()
}

function turn(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const take = () => {
      signal?.removeEventListener('abort', leave)
      resolve()
    }
    const leave = () => {
      waiting.splice(waiting.indexOf(take), 1)
      reject(abortedError(signal as AbortSignal))
    }
    waiting.push(take)
    signal?.addEventListener('abort', leave, { once: true })
  })
}

function endIdle(): void {
  for (const worker of idle.splice(0)) void worker.terminate()
}
