import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { NumberList, OidSet } from '../../../../src/git/walk/oid-set.ts'

const idOf = (number: number): Buffer => createHash('sha1').update(String(number)).digest()

test('gives each id the rank in which it was added', () => {
  const set = new OidSet()
  const count = 50_000
  for (let number = 0; number < count; number++) assert.equal(set.add(idOf(number)), number)
  assert.equal(set.count, count)
  for (let number = 0; number < count; number++) {
    const id = idOf(number)
    assert.equal(set.add(id), -1)
    assert.equal(set.rankOf(id), number)
    assert.ok(set.at(number).equals(id))
  }
  assert.equal(set.rankOf(idOf(count)), -1)
  assert.equal(set.oidAt(7), idOf(7).toString('hex'))
  assert.throws(() => set.at(count), RangeError)
})

test('is a set, also of ids that look alike and lie anywhere in a buffer', () => {
  const bytes = fc.array(fc.constantFrom(0, 1, 255), { minLength: 20, maxLength: 20 })
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 200 }), fc.nat(9), (ids, offset) => {
      const set = new OidSet()
      const known = new Map<string, number>()
      for (const id of ids) {
        const text = Buffer.from(id).toString('hex')
        const buffer = Buffer.concat([Buffer.alloc(offset, 7), Buffer.from(id), Buffer.alloc(3, 9)])
        const rank = known.has(text) ? -1 : known.size
        assert.equal(set.rankOf(buffer, offset), known.get(text) ?? -1)
        assert.equal(set.add(buffer, offset), rank)
        if (rank >= 0) known.set(text, rank)
      }
      assert.deepEqual(
        Array.from({ length: set.count }, (_, rank) => set.oidAt(rank)),
        [...known.keys()],
      )
    }),
  )
})

test('a list of numbers keeps them in order', () => {
  const list = new NumberList()
  for (let number = 0; number < 1000; number++) list.push(number * 4_000_000)
  assert.equal(list.count, 1000)
  for (let number = 0; number < 1000; number++) assert.equal(list.at(number), number * 4_000_000)
  assert.throws(() => list.at(1000), RangeError)
})
