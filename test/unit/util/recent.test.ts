import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recent } from '../../../src/util/recent.ts'

test('those are remembered that were used last', () => {
  const entries = recent<number, string>(3)
  for (const key of [1, 2, 3]) entries.set(key, `${key}`)
  assert.equal(entries.get(1), '1')
  entries.set(4, '4')
  assert.deepEqual([...entries.keys()].sort(), [1, 3, 4])
  entries.delete(3)
  for (let key = 5; key < 1000; key++) entries.set(key, `${key}`)
  assert.deepEqual([...entries.keys()].sort(), [997, 998, 999])
})

test('an empty one of a million takes next to no memory', () => {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  const entries = recent<number, string>(1_000_000)
  const after = process.memoryUsage()
  assert.ok(after.heapUsed + after.arrayBuffers - heapUsed - arrayBuffers < 1024 * 1024)
  assert.equal(entries.size, 0)
})
