import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ChunkPool } from '../../../src/util/chunk-pool.ts'

describe('ChunkPool', () => {
  it('gives the memory out again that it was given back, by a part of it too', () => {
    const pool = new ChunkPool(1024, 2)
    const first = pool.take()
    assert.equal(first.length, 1024)
    pool.give(first.subarray(0, 10))
    assert.equal(pool.free, 1)
    const again = pool.take()
    assert.equal(again.buffer, first.buffer)
    assert.equal(again.length, 1024)
    assert.notEqual(pool.take().buffer, first.buffer)
  })

  it('never gives the same memory to two, keeps no more than its limit and nothing of another size', () => {
    const pool = new ChunkPool(1024, 2)
    const chunk = pool.take()
    pool.give(chunk)
    pool.give(chunk)
    assert.notEqual(pool.take().buffer, pool.take().buffer)
    pool.give(Buffer.alloc(1024 * 2))
    pool.give(Buffer.alloc(10))
    assert.equal(pool.free, 0)
    for (const taken of [pool.take(), pool.take(), pool.take()]) pool.give(taken)
    assert.equal(pool.free, 2)
  })
})
