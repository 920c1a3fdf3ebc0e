import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { countToMerge } from '../../../src/store/merge-choice.ts'

const sizes = fc
  .array(fc.oneof(fc.integer({ min: 32, max: 2000 }), fc.integer({ min: 32, max: 2 ** 32 })), {
    maxLength: 60,
  })
  .map((list) => list.sort((a, b) => a - b))

const sum = (list: readonly number[]): number => list.reduce((total, size) => total + size, 0)
const merged = (list: readonly number[], count: number): number[] =>
  (count === 0 ? [...list] : [sum(list.slice(0, count)), ...list.slice(count)]).sort((a, b) => a - b)
const isGeometric = (list: readonly number[]): boolean =>
  list.every((size, i) => i === 0 || size >= 2 * sum(list.slice(0, i)))

describe('countToMerge', () => {
  it('merges what is needed for every pack to be twice the sum of the smaller ones', () => {
    fc.assert(
      fc.property(sizes, (list) => {
        const count = countToMerge(list, Infinity)
        assert.ok(count === 0 || (count >= 2 && count <= list.length))
        assert.ok(isGeometric(merged(list, count)))
      }),
    )
  })

  it('leaves packs alone that are so, and asks for nothing twice', () => {
    fc.assert(
      fc.property(sizes, (list) => {
        const count = countToMerge(list, Infinity)
        assert.equal(count === 0, isGeometric(list))
        assert.equal(countToMerge(merged(list, count), Infinity), 0)
      }),
    )
  })

  it('merges no more than it must: one pack less and the rule would not hold', () => {
    fc.assert(
      fc.property(sizes, (list) => {
        const count = countToMerge(list, Infinity)
        if (count > 2) assert.ok(!isGeometric([sum(list.slice(0, count - 1)), ...list.slice(count - 1)]))
      }),
    )
  })

  it('stays within the bytes that may be copied, and goes on as long as there is something to do', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 64, max: 2 ** 34 }), (list, most) => {
        const eligible = list.filter((size) => size <= most / 2)
        const count = countToMerge(eligible, most)
        assert.ok(sum(eligible.slice(0, count)) <= most)
        assert.equal(count === 0, isGeometric(eligible))
      }),
    )
  })

  it('keeps packs and copying logarithmic, whatever is added one after the other', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 200, maxLength: 600 }),
        (added) => {
          let packs: number[] = []
          let copied = 0
          for (const size of added) {
            packs = [...packs, size].sort((a, b) => a - b)
            const count = countToMerge(packs, Infinity)
            copied += sum(packs.slice(0, count))
            packs = merged(packs, count)
          }
          const ratio = sum(added) / Math.min(...added)
          assert.ok(packs.length <= 1 + Math.log(ratio) / Math.log(3), `${packs.length} packs`)
          assert.ok(copied <= sum(added) * (1 + Math.log(ratio) / Math.log(1.5)), `${copied} bytes copied`)
        },
      ),
      { numRuns: 50 },
    )
  })
})
