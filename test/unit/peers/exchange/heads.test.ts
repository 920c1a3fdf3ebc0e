import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  HEAD_BURST,
  type Head,
  MAX_CLOCK_SKEW,
  MAX_KNOWN_HEADS,
  MIN_HEAD_INTERVAL,
} from '../../../../protocol/index.ts'
import { publicKeyOf } from '../../../../src/nix/ed25519.ts'
import { HeadPublisher } from '../../../../src/peers/exchange/head-publisher.ts'
import {
  encodeSignedHead,
  headSigner,
  headVerifier,
  peerIdOf,
} from '../../../../src/peers/exchange/head-signature.ts'
import { HeadTable, MAX_HEAD_AGE, peerKey } from '../../../../src/peers/exchange/head-table.ts'
import { MAX_DIALLED_PULLS, MAX_PULLS, PullQueue } from '../../../../src/peers/exchange/pull-queue.ts'
import { TokenBucket } from '../../../../src/util/token-bucket.ts'

const NOW = 1_790_000_000_000
const seed = Buffer.alloc(32, 1)
const peer = peerIdOf(publicKeyOf(seed))
const base: Head = {
  peer,
  network: 'n',
  epoch: 5,
  seq: 10,
  minSeq: 0,
  count: 0,
  fingerprint: Buffer.alloc(8),
  newest: Buffer.alloc(0),
  time: NOW,
}
const head = (changes: Partial<Head> = {}): Uint8Array =>
  encodeSignedHead({ ...base, ...changes }, headSigner(seed))
const unsigned = (changes: Partial<Head>): Uint8Array =>
  encodeSignedHead({ ...base, ...changes }, () => Buffer.alloc(64))
const tableOf = (self = 'self', verify = headVerifier()): HeadTable =>
  new HeadTable('n', self, verify, (key) => key !== 'ab')

describe('head table', () => {
  it('takes newer heads only, in whatever order they come', () => {
    const table = tableOf()
    const kinds = (changes: Partial<Head>) => table.take(head(changes), 'x', NOW).kind
    assert.equal(kinds({}), 'new')
    assert.equal(kinds({}), 'old')
    assert.equal(kinds({ seq: 9, time: NOW + 5 }), 'old')
    assert.equal(kinds({ seq: 12 }), 'new')
    assert.equal(kinds({ seq: 11 }), 'old')
    assert.equal(kinds({ epoch: 4, seq: 100 }), 'old')
    assert.equal(kinds({ epoch: 6, seq: 1 }), 'new')
    assert.equal(
      kinds({ epoch: 6, seq: 1, time: NOW + 1, fingerprint: Buffer.alloc(8, 1) }),
      'old',
      'a contradiction',
    )
    const alive = table.take(head({ epoch: 6, seq: 1, time: NOW + 1 }), 'x', NOW)
    assert.ok(alive.kind === 'new' && !alive.changed)
    assert.deepEqual(
      table.known(),
      [{ peer, epoch: 6, seq: 1 }].map((known) => ({ ...known, peer: new Uint8Array(peer) })),
    )
  })

  it('blames who hands over what no honest peer passes on, and nobody for what may happen', () => {
    const table = tableOf()
    const kind = (signed: Uint8Array) => table.take(signed, 'x', NOW).kind
    assert.equal(kind(Buffer.from('garbage')), 'bad')
    assert.equal(kind(unsigned({})), 'bad')
    assert.equal(kind(head({ network: 'other' })), 'bad')
    assert.equal(kind(head({ peer: peerIdOf(publicKeyOf(Buffer.alloc(32, 2))) })), 'bad')
    assert.equal(kind(head({ time: NOW + MAX_CLOCK_SKEW + 1 })), 'old')
    assert.equal(kind(head({ time: NOW - MAX_HEAD_AGE - 1 })), 'old')
    assert.equal(kind(unsigned({ peer: Buffer.from('ab', 'hex') })), 'old')
    assert.equal(table.size, 0)
    assert.equal(kind(head({ time: NOW + MAX_CLOCK_SKEW })), 'new')
  })

  it('takes few heads of one peer at once', () => {
    const table = tableOf()
    const taken = (from: number, now: number) =>
      Array.from({ length: 2 * HEAD_BURST }, (_, i) => table.take(head({ seq: from + i }), 'x', now)).filter(
        ({ kind }) => kind === 'new',
      ).length
    assert.equal(taken(100, NOW), HEAD_BURST)
    assert.equal(taken(200, NOW + 3000), 3)
  })

  it('is full some time, and then keeps who is there', () => {
    const table = tableOf('self', () => true)
    const take = (number: number, time: number) => {
      const id = Buffer.alloc(4)
      id.writeUInt32BE(number)
      return table.take(unsigned({ peer: id, time }), `${number % 50}`, time).kind
    }
    for (let number = 0; number < MAX_KNOWN_HEADS; number++) assert.equal(take(number, NOW + number), 'new')
    assert.equal(take(5000, NOW + 2000), 'old')
    assert.equal(table.size, MAX_KNOWN_HEADS)
    const later = NOW + 3 * 60 * 60 * 1000
    assert.equal(take(5000, later), 'new')
    assert.equal(table.head(peerKey(Buffer.alloc(4))), undefined, 'the one that was silent for longest went')
    assert.equal(table.age(NOW + MAX_HEAD_AGE + 2000).length, MAX_KNOWN_HEADS - 1)
    assert.equal(table.size, 1)
  })

  it('notices that others know more of us than we do', () => {
    const table = tableOf(peerKey(peer))
    table.setOwn(base, head())
    const kind = (changes: Partial<Head>) => table.take(head(changes), 'x', NOW).kind
    assert.equal(kind({}), 'old')
    assert.equal(kind({ seq: 9 }), 'old')
    assert.equal(kind({ seq: 11 }), 'own')
    assert.equal(kind({ epoch: 6, seq: 1 }), 'own')
    assert.equal(kind({ fingerprint: Buffer.alloc(8, 1) }), 'own')
    assert.deepEqual(table.head(peerKey(peer)), base)
  })
})

describe('head publisher', () => {
  it('tells changes soon, together, and at most once a second; and hourly that we are alive', () => {
    const publisher = new HeadPublisher(() => 0.5, 0)
    assert.ok(publisher.due <= 200)
    publisher.published(1, 200)
    assert.ok(publisher.due > 50 * 60_000 && publisher.due <= 200 + 60 * 60_000)
    publisher.changed(300)
    assert.equal(publisher.due, 200 + MIN_HEAD_INTERVAL)
    publisher.changed(400)
    assert.equal(publisher.due, 200 + MIN_HEAD_INTERVAL)
    publisher.published(3, 1200)
    publisher.changed(60_000)
    assert.ok(publisher.due >= 60_050 && publisher.due <= 60_200)
  })

  it('goes on when the clock is put back', () => {
    const publisher = new HeadPublisher(() => 0.5, NOW)
    publisher.published(1, NOW)
    const back = NOW - 24 * 60 * 60_000
    assert.ok(!publisher.isDue(NOW + 1) && publisher.isDue(back))
    publisher.changed(back)
    assert.ok(publisher.due <= back + MIN_HEAD_INTERVAL)
    const queue = new PullQueue(() => 0.5)
    queue.want('a', NOW)
    assert.equal(queue.take(back), 'a')
  })

  it('carries what came since the third last head', () => {
    const publisher = new HeadPublisher(() => 0, 0)
    assert.equal(publisher.carried(7), 7)
    for (const seq of [7, 8, 10, 13]) publisher.published(seq, seq * 1000)
    assert.equal(publisher.carried(15), 15 - 8)
    assert.equal(publisher.carried(5000), 256)
    publisher.renewed()
    assert.equal(publisher.carried(3), 3)
  })
})

describe('pull queue', () => {
  it('asks few at a time, and fewer that would have to be dialled', () => {
    const queue = new PullQueue(() => 0)
    for (let number = 0; number < 10; number++) queue.want(`dialled ${number}`, 0)
    for (let number = 0; number < 10; number++) {
      queue.connected(`connected ${number}`, 0)
      queue.want(`connected ${number}`, 1)
    }
    const taken: string[] = []
    for (let key = queue.take(1); key !== undefined; key = queue.take(1)) taken.push(key)
    assert.equal(taken.length, MAX_PULLS)
    assert.equal(taken.filter((key) => key.startsWith('dialled')).length, MAX_DIALLED_PULLS)
    assert.equal(queue.due, Number.POSITIVE_INFINITY)
    queue.done(taken[0]!)
    assert.ok(queue.due <= 1 && queue.take(1) !== undefined)
  })

  it('comes back to who failed later and later, at once after a new connection', () => {
    const queue = new PullQueue(() => 0.5)
    let now = 0
    queue.want('a', now)
    const waits: number[] = []
    for (let attempt = 0; attempt < 14; attempt++) {
      assert.equal(queue.take(queue.due - 1), undefined)
      waits.push(queue.due - now)
      now = queue.due
      assert.equal(queue.take(now), 'a')
      queue.failed('a', now)
      queue.want('a', now)
    }
    assert.deepEqual(waits.slice(1, 5), [1000, 2000, 4000, 8000])
    assert.equal(waits.at(-1), 10 * 60_000)
    queue.connected('a', now)
    assert.ok(queue.due <= now + 400)
  })

  it('forgets who is asked without losing a place', () => {
    const queue = new PullQueue(() => 0)
    for (let round = 0; round < 10; round++) {
      queue.want('a', 0)
      assert.equal(queue.take(0), 'a')
      queue.forget('a')
      queue.done('a')
    }
    for (const key of ['a', 'b']) queue.want(key, 0)
    assert.ok(queue.take(0) !== undefined && queue.take(0) !== undefined)
  })
})

it('a token bucket lets through a burst, and then a rate', () => {
  const bucket = new TokenBucket(10, 2, 0)
  assert.ok(bucket.take(0, 10))
  assert.ok(!bucket.take(499))
  assert.ok(bucket.take(500))
  assert.ok(!bucket.take(500))
  assert.ok(!bucket.take(100), 'a clock that goes back gives nothing')
  assert.ok(bucket.take(60_000, 10))
  assert.ok(!bucket.take(60_000, 11))
})
