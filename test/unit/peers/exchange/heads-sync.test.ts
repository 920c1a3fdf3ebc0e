/** Two tables of heads over a port without a network: they end the same, within the bounds on messages. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HEADS_ANSWER, HEADS_REQUEST, MAX_HEADS_MESSAGE, SIGNED_HEAD } from '../../../../protocol/index.ts'
import { encodeSignedHead } from '../../../../src/peers/exchange/head-signature.ts'
import { HeadTable } from '../../../../src/peers/exchange/head-table.ts'
import { HeadsSync } from '../../../../src/peers/exchange/heads-sync.ts'
import { hashesOf, hashOf } from '../../../support/hashes.ts'

const NOW = 1_790_000_000_000

/** Heads of made-up peers, each with `newest` hashes. */
function signed(number: number, seq: number, newest = 256): Uint8Array {
  const state = {
    epoch: 1,
    seq,
    minSeq: 0,
    count: newest,
    fingerprint: Buffer.alloc(8),
    newest: hashesOf(0, newest),
  }
  return encodeSignedHead({ peer: hashOf(number), network: 'n', ...state, time: NOW }, () => Buffer.alloc(64))
}

class Side {
  readonly name: string
  readonly table: HeadTable
  readonly sync: HeadsSync
  other!: Side
  faults = 0
  bytes = 0
  requests = 0
  /** Answers with what it likes, if set. */
  lie: (() => Uint8Array | undefined) | undefined
  #now = NOW

  constructor(name: string) {
    this.name = name
    this.table = new HeadTable(
      'n',
      name,
      () => true,
      () => true,
    )
    this.sync = new HeadsSync(
      {
        table: this.table,
        random: () => 0.5,
        take: (head, from, now) => void this.table.take(head, from, now),
        fault: () => void this.faults++,
        port: {
          publish: () => assert.fail('heads from a stream are not gossiped'),
          request: (peer, protocol, message, done) => {
            assert.deepEqual([peer, protocol], [this.other.name, 'heads'])
            this.requests++
            const { other } = this
            const answer = other.lie
              ? other.lie()
              : HEADS_ANSWER.encode(other.sync.answer(this.name, HEADS_REQUEST.decode(message), this.#now))
            this.bytes += message.length + (answer?.length ?? 0)
            assert.ok(message.length <= MAX_HEADS_MESSAGE && (answer?.length ?? 0) <= MAX_HEADS_MESSAGE)
            done(answer, this.#now)
          },
        },
      },
      NOW,
    )
  }

  /** Lets it have one round with the other side. */
  round(): void {
    this.sync.connected(this.other.name, this.#now)
    this.#now += 1000
    this.sync.tick(this.#now)
  }
}

function pair(): [Side, Side] {
  const sides: [Side, Side] = [new Side('a'), new Side('b')]
  ;[sides[0].other, sides[1].other] = [sides[1], sides[0]]
  return sides
}

describe('heads over a stream', () => {
  it('get to both sides, the newest of each peer, however many and large they are', () => {
    const [a, b] = pair()
    for (let number = 0; number < 400; number++) {
      if (number % 3 !== 0) a.table.take(signed(number, number % 2 ? 300 : 301), `${number}`, NOW)
      if (number % 3 !== 1) b.table.take(signed(number, number % 2 ? 301 : 300), `${number}`, NOW)
    }
    a.round()
    assert.deepEqual(a.table.fingerprint, b.table.fingerprint)
    assert.deepEqual([a.table.size, b.table.size], [400, 400])
    assert.ok(a.requests < 30, `${a.requests} requests`)
  })

  it('cost some bytes when there is no news', () => {
    const [a, b] = pair()
    for (const { table } of [a, b]) table.take(signed(1, 300), 'x', NOW)
    a.round()
    assert.deepEqual([a.requests, a.bytes], [1, 10])
  })

  it('that a peer does not send, or garbage, end the round', () => {
    const [a, b] = pair()
    a.table.take(signed(1, 300), 'x', NOW)
    const known = [{ peer: hashOf(2), epoch: 1, seq: 1 }]
    const lies = [
      undefined,
      Buffer.from('garbage'),
      HEADS_ANSWER.encode({ differs: true, known, heads: [] }),
      HEADS_ANSWER.encode({
        differs: true,
        known,
        heads: [SIGNED_HEAD.encode({ body: Buffer.from('no head'), signature: Buffer.alloc(64) })],
      }),
      HEADS_ANSWER.encode({ differs: false, known: [], heads: [], refusal: { code: 2, reason: '' } }),
    ]
    for (const lie of lies) {
      b.lie = () => lie
      a.round()
    }
    assert.equal(a.faults, 1)
    assert.ok(a.requests < 100, `${a.requests} requests`)
    b.lie = undefined
    a.round()
    assert.deepEqual(a.table.fingerprint, b.table.fingerprint, 'and the next one works')
  })
})
