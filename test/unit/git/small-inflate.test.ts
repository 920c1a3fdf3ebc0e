import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { createSmallInflater, FreshInflater } from '../../../src/git/small-inflate.ts'

const streams = fc.record({
  content: fc.uint8Array({ maxLength: 5000 }),
  level: fc.integer({ min: 0, max: 9 }),
  behind: fc.uint8Array({ maxLength: 20 }),
})

describe('inflating small streams', () => {
  const reused = createSmallInflater()

  it('uses one decoder again and again', () => {
    assert.ok(!(reused instanceof FreshInflater), 'this Node offers no decoder to be used again')
  })

  for (const [name, inflater] of [
    ['with one decoder', reused],
    ['with a decoder each', new FreshInflater()],
  ] as const) {
    it(`gives the content and the stream's length, ${name}`, () => {
      fc.assert(
        fc.property(streams, ({ content, level, behind }) => {
          const raw = deflateSync(content, { level })
          const target = Buffer.alloc(content.length + 1)
          const found = inflater.inflate(Buffer.concat([raw, behind]), target)
          assert.deepEqual(found, { produced: content.length, used: raw.length })
          assert.deepEqual(target.subarray(0, content.length), Buffer.from(content))
        }),
      )
    })

    it(`fills the target and no more when the content is longer, ${name}`, () => {
      const raw = deflateSync(Buffer.alloc(1000, 'abc'))
      const memory = Buffer.alloc(200, 1)
      assert.equal(inflater.inflate(raw, memory.subarray(50, 150)).produced, 100)
      assert.ok([...memory.subarray(0, 50), ...memory.subarray(150)].every((byte) => byte === 1))
    })

    it(`says what is wrong, and goes on with the next stream, ${name}`, () => {
      const content = Buffer.from('some content')
      const raw = deflateSync(content)
      const target = Buffer.alloc(content.length + 1)
      for (let length = 0; length < raw.length; length++)
        assert.throws(() => inflater.inflate(raw.subarray(0, length), target), { code: 'Z_BUF_ERROR' })
      for (const at of [0, raw.length - 1]) {
        const damaged = Buffer.from(raw)
        damaged.writeUInt8(damaged[at]! ^ 1, at)
        assert.throws(() => inflater.inflate(damaged, target), { code: 'Z_DATA_ERROR' })
      }
      assert.deepEqual(inflater.inflate(raw, target), { produced: content.length, used: raw.length })
    })
  }
})
