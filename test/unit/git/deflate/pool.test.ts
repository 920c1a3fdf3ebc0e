import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { inflateRawSync } from 'node:zlib'
import { CHUNK_SIZE } from '../../../../src/git/deflate/chunk.ts'
import { DeflatePool } from '../../../../src/git/deflate/pool.ts'
import { Portion } from '../../../../src/git/deflate/portion.ts'
import { attempt } from '../../../support/process.ts'

describe('DeflatePool when a worker fails', () => {
  it('rejects what is under way and goes on with another worker', async () => {
    using watch = watchWorkers()
    const { threads } = watch
    const pool = new DeflatePool({ level: 9, workers: 1 })
    try {
      const outcome = settled(pool.encode(portion()))
      while (threads.length === 0) await setImmediate()
      // Nothing that the pool would send: the worker throws outside of what it answers for.
      threads[0]!.postMessage(null)
      assert.ok(['fulfilled', 'ERR_DEFLATE'].includes(await outcome))
      while ((await settled(pool.encode(portion()))) !== 'fulfilled');
      const [chunk] = await pool.encode(portion())
      assert.deepEqual(inflateRawSync(chunk!.deflated, { finishFlush: 2 }), Buffer.from(content()))
    } finally {
      await pool.close()
    }
  })

  it('rejects what is under way when a worker merely ends', async () => {
    using watch = watchWorkers()
    const { threads } = watch
    const pool = new DeflatePool({ level: 9, workers: 1 })
    try {
      const outcome = settled(pool.encode(portion()))
      while (threads.length === 0) await setImmediate()
      await threads[0]!.terminate()
      for (let i = 0; i < 100; i++) await setImmediate()
      assert.equal(await Promise.race([outcome, setImmediate('pending')]), 'ERR_DEFLATE')
    } finally {
      await pool.close()
    }
  })

  it('does not keep the process alive after one of its workers failed', async () => {
    const script = `
      import { DeflatePool } from ${JSON.stringify(new URL('../../../../src/git/deflate/pool.ts', import.meta.url).href)}
      const threads = []
      process.on('worker', (thread) => threads.push(thread))
      const pool = new DeflatePool({ level: 9, workers: 2 })
      // One worker fails over a small portion while the other is busy with a large one.
      const chunks = [1 << 12, 1 << 18].map((size) => {
        const portion = pool.take()
        portion.bytes.set(new Uint8Array(size).map((_, i) => (i * i) >> 3))
        portion.add(size)
        return pool.encode(portion)
      })
      await new Promise((resolve) => setImmediate(resolve))
      threads[0].postMessage(null)
      await Promise.allSettled(chunks)
      console.log('done')`
    const folder = await mkdtemp(join(tmpdir(), 'gachix-pool-'))
    await writeFile(join(folder, 'script.mjs'), script)
    const ended = await attempt(process.execPath, [join(folder, 'script.mjs')], { timeout: 15_000 })
    await rm(folder, { recursive: true })
    assert.equal(ended.stdout.toString(), 'done\n', ended.stderr)
    assert.deepEqual({ code: ended.code, signal: ended.signal }, { code: 0, signal: null })
  })
})

describe('DeflatePool with little to do', () => {
  it('starts no thread for it, and makes the same chunks as one', async () => {
    using watch = watchWorkers()
    const { threads } = watch
    const pool = new DeflatePool({ level: 5, workers: 1 })
    try {
      const little = () => {
        const portion = pool.take()
        for (const length of [1, 700, 9000]) {
          portion.bytes.set(content().subarray(0, length), portion.size)
          portion.add(length)
        }
        return portion
      }
      const encode = async () =>
        (await pool.encode(little())).map((chunk) => ({ ...chunk, deflated: [...chunk.deflated] }))
      const here = await encode()
      await setImmediate()
      assert.equal(threads.length, 0)
      await pool.encode(portion())
      const there = (await pool.encode(little())).map((chunk) => ({
        ...chunk,
        deflated: [...chunk.deflated],
      }))
      assert.equal(threads.length, 1)
      assert.deepEqual(here, there)
      assert.equal(here.length, 3)
    } finally {
      await pool.close()
    }
    await assert.rejects(pool.encode(portion()), { code: 'ERR_ABORTED' })
  })
})

describe('DeflatePool under load', () => {
  it('stands back for the thread that answers requests, where there is one', async () => {
    const nicer: number[] = []
    for (const behind of [false, true]) {
      const before = await threads()
      const pool = new DeflatePool({ level: 1, workers: 2, behind })
      await Promise.all([1, 2].map(() => pool.encode(portion())))
      const all = await threads()
      await pool.close()
      assert.equal(all.get(process.pid), before.get(process.pid), 'the main thread is as it was')
      nicer.push([...all].filter(([id, nice]) => !before.has(id) && nice === 10).length)
    }
    assert.deepEqual(nicer, [0, 2])
  })

  it('tells when a worker has little to do, in turn, and everybody when it is closed', async () => {
    const pool = new DeflatePool({ level: 9, workers: 1 })
    const told: string[] = []
    pool.whenReady(() => told.push('nothing to do'))
    assert.equal(told.length, 0)
    await setImmediate()
    assert.equal(told.join(), 'nothing to do')
    const chunks = [1, 2, 3].map((n) => pool.encode(portion()).then(() => told.push(`chunk ${n}`)))
    pool.whenReady(() => told.push('first'))
    pool.whenReady(() => told.push('second'))
    await Promise.all(chunks)
    const rest = told.slice(1)
    assert.deepEqual(rest.toSorted(), ['chunk 1', 'chunk 2', 'chunk 3', 'first', 'second'])
    assert.ok(
      rest.indexOf('first') > rest.indexOf('chunk 1') && rest.indexOf('first') < rest.indexOf('second'),
    )

    const lost = settled(pool.encode(portion()))
    pool.whenReady(() => told.push('closed'))
    await pool.close()
    assert.equal(await lost, 'ERR_ABORTED')
    await setImmediate()
    assert.equal(told.at(-1), 'closed')
  })
})

/** The worker threads that are started while it lasts. */
function watchWorkers(): Disposable & { readonly threads: readonly Worker[] } {
  const threads: Worker[] = []
  const onWorker = (thread: Worker) => void threads.push(thread)
  process.on('worker', onWorker)
  return { threads, [Symbol.dispose]: () => void process.off('worker', onWorker) }
}

/** How nice each thread of this process is (field 19 of `proc(5)`'s `stat`), by its id. */
async function threads(): Promise<Map<number, number>> {
  const ids = await readdir('/proc/self/task')
  const stats = ids.map(async (id) => {
    const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8').catch(() => undefined)
    // The name of the thread may have blanks; what follows it has none.
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields === undefined ? [] : [[Number(id), Number(fields[16])] as const]
  })
  return new Map((await Promise.all(stats)).flat())
}

function content(): Uint8Array {
  return new Uint8Array(CHUNK_SIZE).map((_, i) => (i * i) >> 3)
}

function portion(): Portion {
  const portion = new Portion()
  portion.bytes.set(content())
  portion.add(CHUNK_SIZE)
  return portion
}

/** `fulfilled`, or the code of the error. */
function settled(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'fulfilled',
    (error: Error & { code?: string }) => error.code ?? error.message,
  )
}
