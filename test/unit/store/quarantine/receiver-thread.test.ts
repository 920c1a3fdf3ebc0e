/** The thread that takes in packs: what goes wrong there or in the source reaches the caller, and the next pack is taken in. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Worker } from 'node:worker_threads'
import type { FinishedPack } from '../../../../src/git/pack/finish.ts'
import type { ReceiveTask } from '../../../../src/store/quarantine/receiving/messages.ts'
import { ReceiverThread } from '../../../../src/store/quarantine/receiving/thread.ts'
import { noise } from '../../../support/git-fixture.ts'
import { packOf, whole } from '../../../support/pack-maker.ts'
import { chunksOf } from '../../../support/packages.ts'
import { until } from '../../../support/process.ts'

const PACK = packOf([whole('blob', noise(200_000, 1)), whole('blob', noise(500, 2))])

describe('the thread that takes in packs', () => {
  let folder: string
  let task: ReceiveTask
  const threads: Worker[] = []
  const packs: FinishedPack[] = []
  const onWorker = (thread: Worker) => threads.push(thread)
  const onPack = async (pack: FinishedPack): Promise<void> => void packs.push(pack)
  const receiver = new ReceiverThread()

  before(async () => {
    process.on('worker', onWorker)
    folder = await mkdtemp(join(tmpdir(), 'gachix-receiver-'))
    const [objectsDir, packDir, spliceDir, tmpDir] = ['objects', 'objects/pack', 'splice', 'tmp'].map(
      (name) => join(folder, name),
    ) as [string, string, string, string]
    for (const path of [packDir, spliceDir, tmpDir]) await mkdir(path, { recursive: true })
    const limits = { objects: 1000, packBytes: 1e9, inflatedBytes: 1e9 }
    task = { ...{ limits, objectsDir, packDir, spliceDir, tmpDir }, level: 1, order: [] }
  })
  afterEach(() => void packs.splice(0))
  after(async () => {
    await receiver.close()
    process.off('worker', onWorker)
    await rm(folder, { recursive: true, force: true })
  })

  it('tells of every pack before it is done', async () => {
    const received = await receiver.receive(chunksOf(PACK, 1000), task, onPack)
    assert.deepEqual(received, { objects: 2, bytes: PACK.length })
    assert.deepEqual(
      packs.map(({ objects }) => objects),
      [2],
    )
  })

  it("passes on the source's own error, and keeps what came whole", async () => {
    const error = new TypeError('the line is cut')
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield PACK.subarray(0, PACK.length - 300)
      throw error
    }
    const failure = await receiver.receive(source(), task, onPack).catch((thrown: unknown) => thrown)
    assert.equal(failure, error)
    assert.deepEqual(
      packs.map(({ objects }) => objects),
      [1],
    )
  })

  it('ends when it is told to, and lets go of a source that hangs', async () => {
    const controller = new AbortController()
    let returned = false
    const hanging: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => setImmediate(() => controller.abort())),
        return: async () => {
          returned = true
          return { done: true, value: undefined }
        },
      }),
    }
    await assert.rejects(receiver.receive(hanging, task, onPack, { signal: controller.signal }), {
      code: 'ERR_ABORTED',
    })
    assert.ok(returned)
  })

  it('does not outlive its thread, and gets another one', async () => {
    let crash = (): void => {}
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield PACK.subarray(0, 1000)
      crash()
      await new Promise(() => {})
    }
    const before = threads.length
    // Nothing that it would be told: the thread throws outside of what it answers for.
    crash = () => threads.at(-1)!.postMessage(null)
    await assert.rejects(receiver.receive(source(), task, onPack), { code: 'ERR_RECEIVER_LOST' })
    assert.equal((await receiver.receive(chunksOf(PACK, 100_000), task, onPack)).objects, 2)
    assert.equal(threads.length, before + 1)
  })

  it('starts no thread for a source that ends when nobody takes in its pack any more', async () => {
    const { promise: freed, resolve: free } = Promise.withResolvers<void>()
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield PACK.subarray(0, 1000)
        threads.at(-1)!.postMessage(null)
        await freed
      } finally {
        end()
      }
    }
    await receiver.receive(chunksOf(PACK, 100_000), task, onPack)
    const before = threads.length
    await assert.rejects(receiver.receive(source(), task, onPack), { code: 'ERR_RECEIVER_LOST' })
    free()
    await ended
    await new Promise(setImmediate)
    assert.equal(threads.length, before)
  })

  it('reads no more of an endless pack than may come', async () => {
    let read = 0
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      yield PACK.subarray(0, 40)
      for (const block = Buffer.alloc(100_000); ; read += block.length) yield block
    }
    const limits = { ...task.limits, packBytes: 1_000_000 }
    await assert.rejects(receiver.receive(endless(), { ...task, limits }, onPack), /ERR_|refused/)
    assert.ok(read <= 1_200_000, `${read} bytes were read`)
  })

  it('leaves nothing behind', async () => {
    await until(
      () => 'unfinished files to be gone',
      async () => (await readdir(task.tmpDir)).every((name) => name.endsWith('.partial')) || undefined,
    )
    await receiver.close()
    await assert.rejects(receiver.receive(chunksOf(PACK, 1000), task, onPack), { code: 'ERR_ABORTED' })
  })
})
