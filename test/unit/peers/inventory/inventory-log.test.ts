import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { CHANGE_BYTES, HASH_BYTES, PREFIX_BYTES } from '../../../../protocol/index.ts'
import { encodeChange, InventoryLog, MAX_LOG_CHANGES } from '../../../../src/peers/inventory/inventory-log.ts'
import { hashOf, hexItems } from '../../../support/hashes.ts'

const empty = (epoch = 1): InventoryLog => new InventoryLog(InventoryLog.begin(epoch, Buffer.alloc(0)))
const changesOf = (steps: readonly (readonly [boolean, number])[]): Buffer =>
  Buffer.concat(steps.map(([added, number]) => encodeChange(added, hashOf(number))))

const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(30)), { maxLength: 200 })

describe('inventory log', () => {
  it('is the same when it is made in turns', async () => {
    const count = 150_000
    const base = Buffer.alloc(count * HASH_BYTES)
    for (let index = 0; index < count; index++) {
      base.writeUInt32BE(index * 28_000, index * HASH_BYTES)
      base.writeUInt32BE((index * 2_654_435_761) % 2 ** 32, index * HASH_BYTES + 4)
    }
    const state = { ...InventoryLog.begin(7, base), changes: encodeChange(true, hashOf(1)) }
    const [once, turns] = [new InventoryLog(state), await InventoryLog.open(state)]
    assert.deepEqual(turns.fingerprint, once.fingerprint)
    for (let level = 0; level < 4; level++)
      for (let node = 0; node < 16 ** level; node++)
        assert.deepEqual(turns.digestChildren(level, node), once.digestChildren(level, node))
    assert.deepEqual(turns.state(), once.state())
  })

  it('numbers the changes that change something, and says the same from any cursor', () => {
    fc.assert(
      fc.property(steps, fc.nat(200), (list, cursor) => {
        const log = empty()
        const model = new Set<number>()
        const kept: [boolean, number][] = []
        for (const [added, number] of list) {
          if (model.has(number) === added) continue
          if (added) model.add(number)
          else model.delete(number)
          kept.push([added, number])
        }
        assert.deepEqual(log.effective(changesOf(list)), changesOf(kept))
        assert.equal(log.apply(changesOf(list)), kept.length)
        assert.deepEqual([log.seq, log.count, log.minSeq], [kept.length, model.size, 0])
        assert.deepEqual(
          hexItems(log.hashes(), HASH_BYTES),
          [...model].map((n) => hashOf(n).toString('hex')).sort(),
        )
        const tail = log.tail(cursor, 5)
        if (cursor > log.seq) assert.equal(tail, undefined)
        else assert.deepEqual(tail, changesOf(kept.slice(cursor, cursor + 5)))
      }),
    )
  })

  it('gives the newest additions, back to a removal', () => {
    const log = empty()
    log.apply(
      changesOf([
        [true, 1],
        [true, 2],
        [false, 1],
        [true, 3],
        [true, 4],
      ]),
    )
    assert.deepEqual(log.newest(10), Buffer.concat([hashOf(3), hashOf(4)]))
    assert.deepEqual(log.newest(1), hashOf(4))
    log.apply(changesOf([[false, 4]]))
    assert.equal(log.newest(10).length, 0)
  })

  it('goes on from its state, whatever it forgot', () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const log = empty()
        log.apply(changesOf(before))
        const other = new InventoryLog(log.state())
        for (const each of [log, other]) each.apply(changesOf(after))
        assert.deepEqual(other.state(), log.state())
        assert.deepEqual([other.seq, other.fingerprint], [log.seq, log.fingerprint])
        for (let node = 0; node < 16; node++)
          assert.deepEqual(other.digestChildren(1, node), log.digestChildren(1, node))
      }),
    )
  })

  it('forgets the older half of too many changes, and says so by minSeq', () => {
    const log = empty()
    for (let number = 0; number <= MAX_LOG_CHANGES; number++) log.apply(encodeChange(true, hashOf(number)))
    assert.ok(log.compact())
    assert.ok(!log.compact())
    assert.deepEqual([log.seq, log.count], [MAX_LOG_CHANGES + 1, MAX_LOG_CHANGES + 1])
    assert.equal(log.minSeq, MAX_LOG_CHANGES / 2 + 1)
    assert.equal(log.tail(log.minSeq - 1, 1), undefined)
    assert.deepEqual(log.tail(log.minSeq, 1), encodeChange(true, hashOf(log.minSeq)))
    const state = log.state()
    assert.equal(state.base.length / HASH_BYTES, state.baseSeq)
    assert.equal(new InventoryLog(state).count, log.count)
  })

  it('leaves out a hash whose first 8 bytes another one has', () => {
    const log = empty()
    const twin = Buffer.concat([hashOf(1).subarray(0, PREFIX_BYTES), hashOf(2).subarray(PREFIX_BYTES)])
    log.apply(encodeChange(true, hashOf(1)))
    const change = encodeChange(true, twin)
    assert.equal(log.effective(change).length, 0)
    assert.equal(log.apply(Buffer.concat([change, encodeChange(false, twin)])), 0)
    const both = Buffer.concat([encodeChange(false, hashOf(1)), change])
    assert.equal(log.effective(both).length, 2 * CHANGE_BYTES)
    assert.equal(log.apply(both), 2)
    assert.ok(log.has(twin) && !log.has(hashOf(1)))
  })

  it('refuses a state with a change that changes nothing', () => {
    const change = encodeChange(false, hashOf(1))
    assert.throws(
      () => new InventoryLog({ epoch: 1, baseSeq: 0, base: Buffer.alloc(0), changes: change }),
      RangeError,
    )
  })
})
