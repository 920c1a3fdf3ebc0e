import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import * as fc from 'fast-check'
import { FINAL_BLOCK } from '../../../../src/git/deflate/chunk.ts'
import { FixedBlock, MAX_DISTANCE } from '../../../../src/git/splice/fixed-block.ts'

const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 })
const piece = fc.oneof(
  bytes.map((content) => ({ kind: 'literals', content }) as const),
  fc.record({
    kind: fc.constant('match' as const),
    length: fc.integer({ min: 3, max: 1200 }),
    back: fc.nat(),
  }),
  fc
    .tuple(fc.nat(255), fc.integer({ min: 1, max: 600 }))
    .map(([byte, count]) => ({ kind: 'literals', content: new Uint8Array(count).fill(byte) }) as const),
)

describe('FixedBlock', () => {
  it('is inflated by zlib to what was written, and ends at a byte boundary', () => {
    fc.assert(
      fc.property(bytes, fc.array(piece, { maxLength: 30 }), (first, pieces) => {
        const expected = [...first]
        const block = new FixedBlock(300 + 1200 * pieces.length)
        block.literals(first)
        for (const one of pieces) {
          if (one.kind === 'literals') {
            block.literals(one.content)
            expected.push(...one.content)
          } else {
            const distance = 1 + (one.back % Math.min(expected.length, MAX_DISTANCE))
            block.match(one.length, distance)
            for (let i = 0; i < one.length; i++) expected.push(expected[expected.length - distance]!)
          }
        }
        // Another block right behind shows where the first one ends.
        const stream = Buffer.concat([block.finish(), FINAL_BLOCK])
        assert.deepEqual(inflateRawSync(stream), Buffer.from(expected))
      }),
      { numRuns: 300 },
    )
  })

  it('reaches back over the whole window', () => {
    const before = Buffer.from(Array.from({ length: MAX_DISTANCE }, (_, i) => ((i * 7919) >> 3) & 0xff))
    for (const distance of [MAX_DISTANCE, MAX_DISTANCE - 1, 24_577, 24_576, 16_385, 257, 4]) {
      const block = new FixedBlock(before.length + 100)
      block.literals(before)
      block.match(100, distance)
      const inflated = inflateRawSync(Buffer.concat([block.finish(), FINAL_BLOCK]))
      const from = before.length - distance
      for (let i = 0; i < 100; i++)
        assert.equal(inflated[before.length + i], inflated[from + i], `${distance}`)
    }
  })
})
