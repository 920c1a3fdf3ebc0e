import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { FRAME, MAX_FRAME_BYTES, MAX_FRAME_DATA, MessageSplitter } from '../../../protocol/index.ts'
import { FrameBatch } from '../../../src/peers/streams/frame-batch.ts'
import { WRITE_SIZE } from '../../../src/peers/streams/limits.ts'
import { releaseGivenUp } from '../../../src/util/release.ts'

/** What frames say. */
function dataOf(bytes: Uint8Array): Buffer {
  const splitter = new MessageSplitter('frame', MAX_FRAME_BYTES)
  const messages = [...splitter.push(new Uint8Array(bytes))]
  assert.ok(splitter.between)
  return Buffer.concat(messages.map((message) => FRAME.decode(message).data!))
}

describe('frames that go out together', () => {
  it('are full before they outgrow a write, however long each is', () => {
    for (const length of [1, 7, 100, 2500, 40_000, MAX_FRAME_DATA - 1, MAX_FRAME_DATA]) {
      const batch = new FrameBatch()
      const data: Buffer[] = []
      while (!batch.full) {
        data.push(randomBytes(length))
        batch.add(data.at(-1)!)
      }
      const bytes = batch.take()!
      assert.ok(bytes.length <= WRITE_SIZE && bytes.length > WRITE_SIZE - 2 * MAX_FRAME_DATA)
      assert.ok(dataOf(bytes).equals(Buffer.concat(data)))
      assert.equal(batch.full, false)
      assert.equal(batch.take(), undefined)
    }
  })

  it('take four full ones', () => {
    const batch = new FrameBatch()
    for (let frame = 0; frame < 4; frame++) {
      assert.equal(batch.full, false)
      batch.add(Buffer.alloc(MAX_FRAME_DATA))
    }
    assert.equal(batch.full, true)
  })

  it('lie in memory that is used again only once it was encrypted', () => {
    const write = (): Buffer => {
      const batch = new FrameBatch()
      batch.add(randomBytes(20_000))
      return batch.take()!
    }
    const first = write()
    const copy = Buffer.from(first)
    const second = write()
    assert.notEqual(second.buffer, first.buffer)
    assert.ok(first.equals(copy))
    releaseGivenUp(first.subarray(0, 10_000))
    assert.notEqual(write().buffer, first.buffer)
    releaseGivenUp(first.subarray(10_000))
    assert.equal(write().buffer, first.buffer)
  })
})
