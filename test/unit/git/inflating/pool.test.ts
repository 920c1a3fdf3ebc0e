import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { crc32, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { InflatePool } from '../../../../src/git/inflating/pool.ts'
import type { SharedBuffer } from '../../../../src/util/shared-chunks.ts'

describe('InflatePool', () => {
  it('gives content and checksum, whatever order they come in', async () => {
    await using pool = disposable(new InflatePool(2))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 }), async (contents) => {
        await Promise.all(
          contents.map(async (content) => {
            const target = memory(content.length + 1)
            const result = await pool.inflate(shared(deflateRawSync(content)), target, content.length)
            assert.equal(result, crc32(content))
            assert.ok(target.subarray(0, content.length).equals(content))
          }),
        )
      }),
      { numRuns: 30 },
    )
    assert.equal(pool.load, 0)
  })

  it('tells what is no stream, and one that is longer, shorter or cut off, and goes on', async () => {
    await using pool = disposable(new InflatePool(1))
    const content = Buffer.from('some content of some length '.repeat(9))
    const right = deflateRawSync(content)
    const inflate = (deflated: Uint8Array, size: number) =>
      pool.inflate(shared(deflated), memory(size + 1), size)
    for (const size of [content.length - 1, content.length + 1, 0]) {
      assert.match(String(await inflate(right, size)), /inflate to \d+ bytes instead of/)
    }
    assert.match(String(await inflate(right.subarray(0, 9), content.length)), /unexpected end of file/)
    assert.match(String(await inflate(Buffer.alloc(9, 0xff), content.length)), /invalid block type/)
    assert.equal(await inflate(right, content.length), crc32(content))
  })

  it('rejects what a thread that fails has under way, and goes on with another', async () => {
    const threads: Worker[] = []
    const onWorker = (thread: Worker) => threads.push(thread)
    process.on('worker', onWorker)
    await using pool = disposable(new InflatePool(1))
    const content = Buffer.alloc(1 << 20, 'abcdefg')
    const deflated = shared(deflateRawSync(content))
    const inflate = () => pool.inflate(deflated, memory(content.length + 1), content.length)
    for (const end of [
      // Nothing that the pool would send: the worker throws outside of what it answers for.
      (thread: Worker) => thread.postMessage(null),
      (thread: Worker) => thread.terminate(),
    ]) {
      const known = threads.length
      const outcomes = Promise.allSettled(Array.from({ length: 20 }, inflate))
      while (threads.length === 0) await setImmediate()
      end(threads.at(-1)!)
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'ERR_INFLATE_WORKER')
        else assert.equal(outcome.value, crc32(content))
      }
      // The thread ends in its own time; what is asked of it until then fails like the rest.
      while (threads.length === known || (await settled(inflate())) !== 'fulfilled') await settled(inflate())
      assert.equal(await inflate(), crc32(content))
    }
    process.off('worker', onWorker)
    assert.ok(threads.length >= 3)
  })

  it('rejects what is under way when it is closed, and everything afterwards', async () => {
    const pool = new InflatePool(1)
    const inflating = settled(
      pool.inflate(shared(deflateRawSync(Buffer.alloc(1 << 20))), memory(2 << 20), 1 << 20),
    )
    await pool.close()
    assert.equal(await inflating, 'ERR_ABORTED')
    assert.equal(await settled(pool.inflate(shared(Buffer.of(3, 0)), memory(1), 0)), 'ERR_ABORTED')
  })
})

function memory(length: number): SharedBuffer {
  return Buffer.from(new SharedArrayBuffer(length))
}

function shared(bytes: Uint8Array): SharedBuffer {
  const buffer = memory(bytes.length)
  buffer.set(bytes)
  return buffer
}

function disposable(pool: InflatePool): InflatePool & AsyncDisposable {
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.close() })
}

/** `fulfilled`, or the code of the error. */
function settled(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'fulfilled',
    (error: Error & { code?: string }) => error.code ?? error.message,
  )
}
