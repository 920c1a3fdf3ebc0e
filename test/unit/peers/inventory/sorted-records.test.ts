import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { SortedRecords } from '../../../../src/peers/inventory/sorted-records.ts'
import { hexItems } from '../../../support/hashes.ts'

describe('sorted records', () => {
  it('behave like a map from keys to records', () => {
    const record = fc.uint8Array({ minLength: 3, maxLength: 3 }).map((bytes) => bytes.map((byte) => byte % 4))
    const step = fc.tuple(fc.constantFrom('add', 'add', 'delete', 'bytes'), record)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), record, (steps, border) => {
        const records = new SortedRecords(3, 2)
        const model = new Map<string, string>()
        for (const [what, bytes] of steps) {
          const hex = Buffer.from(bytes).toString('hex')
          const key = hex.slice(0, 4)
          if (what === 'add') {
            assert.equal(records.add(bytes), !model.has(key))
            if (!model.has(key)) model.set(key, hex)
          } else if (what === 'delete') {
            assert.equal(records.delete(bytes), model.get(key) === hex)
            if (model.get(key) === hex) model.delete(key)
          } else {
            assert.deepEqual(hexItems(records.bytes(), 3), [...model.values()].sort())
          }
          assert.equal(records.has(bytes), model.get(key) === hex)
          assert.equal(records.hasKey(bytes), model.has(key))
          assert.equal(records.size, model.size)
        }
        const hex = Buffer.from(border).toString('hex')
        const above = [...model].filter(([key]) => key > hex.slice(0, 4)).map(([, value]) => value)
        assert.deepEqual(hexItems(records.after(border, 3), 3), above.sort().slice(0, 3))
        const below = [...model.values()].filter((value) => value.startsWith(hex.slice(0, 2))).sort()
        assert.deepEqual(hexItems(records.beginningWith(border.subarray(0, 1)), 3), below)
      }),
    )
  })

  it('merge many changes at a time without losing one', () => {
    const records = new SortedRecords(4, 4)
    const expected: number[] = []
    for (let number = 0; number < 5000; number++) {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE((number * 2_654_435_761) % 2 ** 32)
      assert.ok(records.add(bytes))
      if (number % 3 === 0) assert.ok(records.delete(bytes))
      else expected.push(bytes.readUInt32BE())
    }
    assert.deepEqual(
      hexItems(records.bytes(), 4).map((hex) => Number.parseInt(hex, 16)),
      expected.sort((a, b) => a - b),
    )
  })
})
