/** A follower and a log, without a network: whatever the log does meanwhile, the follower ends with its set. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import {
  HASH_BYTES,
  type Head,
  INVENTORY_ANSWER,
  INVENTORY_REQUEST,
  type InventoryAnswer,
} from '../../../../protocol/index.ts'
import { answerInventory } from '../../../../src/peers/inventory/answer.ts'
import { prefixesOf } from '../../../../src/peers/inventory/followed-set.ts'
import { Follower } from '../../../../src/peers/inventory/follower.ts'
import { encodeChange, InventoryLog } from '../../../../src/peers/inventory/inventory-log.ts'
import { SortedRecords } from '../../../../src/peers/inventory/sorted-records.ts'
import { hashesOf, hashOf } from '../../../support/hashes.ts'

function sorted(hashes: Uint8Array): Buffer {
  const records = new SortedRecords(HASH_BYTES, 8)
  for (let at = 0; at < hashes.length; at += HASH_BYTES) records.add(hashes, at)
  return records.bytes()
}

const logOf = (from: number, count: number, epoch = 1): InventoryLog =>
  new InventoryLog(InventoryLog.begin(epoch, sorted(hashesOf(from, count))))

function headOf(log: InventoryLog, carried = 0): Head {
  const { epoch, seq, minSeq, count, fingerprint } = log
  const newest = log.newest(carried)
  return { peer: Buffer.alloc(1), network: 'n', epoch, seq, minSeq, count, fingerprint, newest, time: 1 }
}

/** Asks until the follower has no question. @returns bytes of all questions and answers */
function follow(follower: Follower, log: InventoryLog, meanwhile: () => void = () => {}): number {
  let bytes = 0
  for (let questions = 0; questions < 1000; questions++) {
    const request = follower.request()
    if (request === undefined) return bytes
    const question = INVENTORY_REQUEST.encode(request)
    const answer = INVENTORY_ANSWER.encode(answerInventory(log, INVENTORY_REQUEST.decode(question)))
    bytes += question.length + answer.length
    assert.notEqual(follower.answer(INVENTORY_ANSWER.decode(answer)), 'failed')
    meanwhile()
  }
  assert.fail('there is no end to its questions')
}

function assertSame(follower: Follower, log: InventoryLog): void {
  assert.deepEqual(Buffer.from(follower.set.bytes()), prefixesOf(log.hashes()))
}

describe('follower', () => {
  it('needs no question where heads carry what is new', () => {
    const log = logOf(0, 0)
    const told: string[] = []
    const follower = new Follower(
      () => new Uint8Array(0),
      (hashes) => told.push(...hashes.map((hash) => Buffer.from(hash).toString('hex'))),
    )
    for (let number = 0; number < 20; number++) {
      log.apply(encodeChange(true, hashOf(number)))
      // every other head is lost
      if (number % 2 === 1) assert.equal(follower.head(headOf(log, 2)), 'current')
    }
    assertSame(follower, log)
    assert.deepEqual(
      told,
      Array.from({ length: 20 }, (_, number) => hashOf(number).toString('hex')),
    )
  })

  it('lists an inventory in pages, also while it changes', () => {
    const log = logOf(0, 9000)
    const follower = new Follower(() => new Uint8Array(0))
    assert.equal(follower.head(headOf(log)), 'ask')
    let number = 0
    follow(follower, log, () => {
      if (number > 50) return
      log.apply(
        Buffer.concat([encodeChange(true, hashOf(100_000 + number)), encodeChange(false, hashOf(number++))]),
      )
    })
    follower.head(headOf(log))
    follow(follower, log)
    assert.ok(follower.current)
    assertSame(follower, log)
  })

  it('reads the log after what it has, and compares when the log forgot that, or begins anew', () => {
    const log = logOf(0, 5000)
    const follower = new Follower(() => new Uint8Array(0))
    follower.head(headOf(log))
    follow(follower, log)
    for (let number = 0; number < 10; number++) log.apply(encodeChange(false, hashOf(number)))
    follower.head(headOf(log))
    assert.ok(follow(follower, log) < 10 * 21 + 60)
    assertSame(follower, log)
    for (let number = 10; number < 20; number++) log.apply(encodeChange(false, hashOf(number)))
    log.renew(2)
    follower.head(headOf(log))
    const bytes = follow(follower, log)
    assert.ok(bytes < 5000 * HASH_BYTES * 0.1, `${bytes} bytes`)
    assertSame(follower, log)
  })

  it('compares with a similar set, for any difference', () => {
    fc.assert(
      fc.property(fc.nat(1500), fc.nat(1500), fc.boolean(), (from, more, changing) => {
        const log = logOf(0, 4000)
        const similar = prefixesOf(sorted(hashesOf(from, 4000 - from + more)))
        const follower = new Follower(() => similar)
        follower.head(headOf(log))
        let number = 0
        follow(follower, log, () => {
          if (changing && number < 10)
            log.apply(encodeChange(number % 2 === 0, hashOf(50_000 + (number++ >> 1))))
        })
        follower.head(headOf(log))
        follow(follower, log)
        assertSame(follower, log)
      }),
      { numRuns: 15 },
    )
  })

  it('does not take a set for right that is not, and finds out what is wrong', () => {
    const log = logOf(0, 3000)
    const follower = new Follower(() => new Uint8Array(0))
    follower.head(headOf(log))
    follow(follower, log)
    follower.set.delete(hashOf(7))
    follower.set.add(hashOf(90_000))
    log.apply(encodeChange(true, hashOf(4000)))
    assert.equal(follower.head(headOf(log, 1)), 'ask')
    follow(follower, log)
    assertSame(follower, log)
  })

  it('gives up, for a while, on a peer whose answers never add up', () => {
    const log = logOf(0, 2000)
    const wrong = (answer: InventoryAnswer): InventoryAnswer => ({
      ...answer,
      fingerprint: Buffer.alloc(8, 1),
    })
    const follower = new Follower(() => new Uint8Array(0))
    follower.head(headOf(log))
    let step = 'ask'
    let questions = 0
    while (step === 'ask' && questions++ < 100)
      step = follower.answer(wrong(answerInventory(log, follower.request()!)))
    assert.equal(step, 'failed')
  })

  it('takes any answers in any order without harm', () => {
    const log = logOf(0, 3000)
    const questions = [
      { epoch: 0, snapshot: {} },
      { epoch: 1, log: { after: 3000 } },
      { epoch: 1, log: { after: 1 } },
      { epoch: 9, log: { after: 1 } },
      { epoch: 1, digest: { level: 1, nodes: Buffer.from('00000001', 'hex') } },
      { epoch: 1, buckets: { buckets: Buffer.from('00010002', 'hex') } },
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...questions), { maxLength: 30 }), (list) => {
        const follower = new Follower(() => prefixesOf(sorted(hashesOf(20, 3000))))
        follower.head(headOf(log))
        for (const question of list) {
          follower.request()
          follower.answer(answerInventory(log, question))
        }
        follower.head(headOf(log))
        follow(follower, log)
        assertSame(follower, log)
      }),
      { numRuns: 8 },
    )
  })
})
