import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { withPatience } from '../../../src/sync/repository/patience.ts'

/** Gives chunks of so many bytes, each after so many milliseconds. */
async function* source(chunks: readonly [bytes: number, after: number][]): AsyncGenerator<Uint8Array> {
  for (const [bytes, after] of chunks) {
    await delay(after)
    yield new Uint8Array(bytes)
  }
}

const dispensable = async () => true

describe('patience with a source', () => {
  test('lasts as long as enough comes, however long the work on it takes', async () => {
    let bytes = 0
    for await (const chunk of withPatience(source(Array(4).fill([20_000, 150])), 400, dispensable)) {
      bytes += chunk.length
      await delay(200)
    }
    assert.equal(bytes, 80_000)
  })

  test('ends with silence, and with a trickle', async () => {
    const slow = [
      source([
        [20_000, 0],
        [1, 5000],
      ]),
      source(Array(1000).fill([1, 50])),
    ]
    const drain = async (chunks: AsyncIterable<Uint8Array>) => {
      for await (const _ of withPatience(chunks, 300, dispensable));
    }
    for (const chunks of slow) {
      const started = performance.now()
      await assert.rejects(drain(chunks), { code: 'ERR_SOURCE_STALLED' })
      assert.ok(performance.now() - started < 10_000)
    }
  })
  test('does not end with one that nobody can stand in for, and looks again whether somebody can', async () => {
    const chunks = source(Array(6).fill([1, 100]))
    let looks = 0
    let bytes = 0
    const drain = async () => {
      for await (const chunk of withPatience(chunks, 150, async () => ++looks > 2)) bytes += chunk.length
    }
    await assert.rejects(drain(), { code: 'ERR_SOURCE_STALLED' })
    assert.equal(looks, 3)
    assert.ok(bytes >= 2, `${bytes} bytes came before`)
  })
})
