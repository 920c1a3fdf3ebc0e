import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import {
  type Codec,
  CREDIT,
  commonMinor,
  dataFramePrefix,
  delimit,
  FRAME,
  HAVE_ANSWER,
  HEAD,
  HEADS_ANSWER,
  HELLO,
  INVENTORY_ANSWER,
  isNetworkName,
  MAX_FRAME_DATA,
  MAX_INTEGER,
  MessageSplitter,
  PEERS_ANSWER,
  protocolId,
  TransferDigest,
  WANT,
} from '../../../protocol/index.ts'
import { plainMessage } from '../../support/messages.ts'

const blob = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max })
const number = fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeNat())
const items = (width: number, max: number) =>
  fc.array(blob(width), { maxLength: max }).map((list) => new Uint8Array(Buffer.concat(list)))
const sortedNumbers = fc.tuple(number, number).map(([a, b]) => (a < b ? [a, b] : [b, a]) as [number, number])
const refusal = fc.record({ code: fc.nat(1000), reason: fc.stringMatching(/^[ -~]{0,50}$/) })

describe('messages come back as they went', () => {
  it('heads', () => {
    const head = fc
      .record({
        peer: blob(1, 64),
        network: fc.constantFrom('a', 'team', 'a.b-c', '0'.repeat(63)),
        epoch: fc.integer({ min: 1, max: MAX_INTEGER }),
        range: sortedNumbers,
        fingerprint: blob(8),
        newest: items(20, 20),
        time: number,
      })
      .map(({ range: [minSeq, seq], ...rest }) => ({
        ...rest,
        minSeq: Math.min(minSeq, seq),
        seq: Math.max(seq, 20),
        count: Math.min(Math.max(seq, 20), 20),
      }))
    check(HEAD, head)
  })

  it('hellos', () => {
    const hello = fc
      .record({
        features: fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { maxLength: 32 }),
        head: blob(0, 300),
        yours: blob(0, 300),
        agent: fc.constantFrom('', 'gachix/1 – é'),
      })
      .map(({ features, ...rest }) => ({
        ...rest,
        features: features.sort(),
        network: 'n',
        minor: 3,
        oldestMinor: 2,
      }))
    check(HELLO, hello)
  })

  it('answers', () => {
    const known = fc.array(fc.record({ peer: blob(1, 64), epoch: number, seq: number }), { maxLength: 20 })
    check(
      HEADS_ANSWER,
      fc.record({ differs: fc.boolean(), known, heads: fc.array(blob(1, 100), { maxLength: 9 }) }),
    )
    const inside = { hash: blob(20), narinfo: blob(20) }
    const packages = fc.array(fc.oneof(fc.record(inside), fc.record({ ...inside, commit: blob(20) })))
    check(HAVE_ANSWER, fc.record({ packages }))
    check(HAVE_ANSWER, fc.record({ packages: fc.constant([]), refusal }))
    const peers = fc.array(
      fc.record({ peer: blob(1, 64), addresses: fc.array(blob(1, 40), { maxLength: 8 }) }),
      { maxLength: 32 },
    )
    check(PEERS_ANSWER, fc.record({ peers }))
    const state = { epoch: number, range: sortedNumbers, count: number, fingerprint: blob(8) }
    const answer = fc
      .record({ ...state, changes: items(20, 30) })
      .map(({ range: [minSeq, seq], changes, ...rest }) => {
        const log = Buffer.concat(
          Array.from({ length: changes.length / 20 }, (_, i) =>
            Buffer.concat([Buffer.from([i % 2]), changes.subarray(20 * i, 20 * i + 20)]),
          ),
        )
        return { ...rest, minSeq, seq: Math.max(seq, 30), log: { start: 0, changes: new Uint8Array(log) } }
      })
      .map((value) => ({ ...value, minSeq: Math.min(value.minSeq, value.seq) }))
    check(INVENTORY_ANSWER, answer)
  })

  it('wants, frames, credit', () => {
    const wants = fc
      .tuple(blob(20), items(20, 50))
      .map(([first, rest]) => new Uint8Array(Buffer.concat([first, rest])))
    check(WANT, fc.record({ wants, haves: items(20, 50), omitBlobs: fc.boolean() }))
    check(
      FRAME,
      fc.oneof(
        fc.record({ data: blob(1, 2000) }),
        fc.record({ refusal }),
        fc.record({ end: fc.record({ length: number, sha256: blob(32) }) }),
      ),
    )
    check(CREDIT, fc.record({ bytes: fc.integer({ min: 1, max: 2 ** 21 }) }))
  })

  function check<T>(codec: Codec<T>, values: fc.Arbitrary<NoInfer<T>>): void {
    fc.assert(
      fc.property(values, (value) => {
        const encoded = codec.encode(value)
        const decoded = codec.decode(encoded)
        assert.deepEqual(plainMessage(decoded), plainMessage(value))
        assert.deepEqual(codec.encode(decoded), encoded)
      }),
    )
  }
})

describe('what is to be sent is checked as well', () => {
  it('breaks a bound', () => {
    const hello = {
      network: 'n',
      minor: 1,
      oldestMinor: 1,
      features: [],
      agent: '',
      head: Buffer.alloc(0),
      yours: Buffer.alloc(0),
    }
    HELLO.encode(hello)
    for (const wrong of [
      { network: 'N' },
      { minor: 0 },
      { minor: 1.5 },
      { minor: -1 },
      { features: ['b', 'a'] },
      { agent: 'x'.repeat(65) },
      { head: Buffer.alloc(16 * 1024 + 1) },
    ]) {
      assert.throws(
        () => HELLO.encode({ ...hello, ...wrong }),
        { code: 'ERR_MESSAGE_INVALID' },
        JSON.stringify(wrong),
      )
    }
  })
})

describe('transfer', () => {
  it('has data framed without copying it', () => {
    for (const length of [1, 127, 128, 16_383, 16_384, MAX_FRAME_DATA]) {
      const data = Buffer.alloc(length, 7)
      const [message] = new MessageSplitter('frame', MAX_FRAME_DATA + 16).push(
        Buffer.concat([dataFramePrefix(length), data]),
      )
      assert.deepEqual(plainMessage(FRAME.decode(message!)), { data: data.toString('hex') })
    }
    for (const length of [0, MAX_FRAME_DATA + 1, Number.NaN])
      assert.throws(() => dataFramePrefix(length), { code: 'ERR_MESSAGE_INVALID' })
  })

  it('names each piece that was copied, and none that messages are views into', () => {
    const stream = Buffer.concat([
      delimit(Buffer.alloc(100, 1)),
      delimit(Buffer.alloc(10, 2)),
      delimit(Buffer.alloc(200, 3)),
    ])
    const pieces = [0, 50, 101, 250].map((start, i, all) => Buffer.from(stream.subarray(start, all[i + 1])))
    const copied: Uint8Array[] = []
    const splitter = new MessageSplitter('message', 200, (piece) => copied.push(piece))
    const messages = pieces.flatMap((piece) => splitter.push(piece))
    assert.deepEqual(
      messages.map(({ length, 0: first }) => [length, first]),
      [
        [100, 1],
        [10, 2],
        [200, 3],
      ],
    )
    // The third has the whole message of ten bytes.
    assert.deepEqual(
      copied.map((piece) => pieces.indexOf(piece as Buffer<ArrayBuffer>)),
      [0, 1, 3],
    )
  })

  it('counts only with its length and digest', () => {
    const made = (...parts: string[]): TransferDigest => {
      const digest = new TransferDigest()
      for (const part of parts) digest.update(Buffer.from(part))
      return digest
    }
    const end = made('some', ' data').end()
    made('some data').check(end)
    assert.throws(() => made('some').check(end), /ended after 4 bytes instead of 9/)
    assert.throws(() => made('same data').check(end), /another SHA-256/)
  })
})

it('networks have plain names, which ids carry', () => {
  assert.equal(protocolId('team', 'pack'), '/gachix/team/pack/1')
  for (const name of ['', '-a', 'a.', 'A', 'a/b', 'a b', 'a'.repeat(64)])
    assert.ok(!isNetworkName(name), name)
  assert.throws(() => protocolId('a/b', 'pack'), { code: 'ERR_MESSAGE_INVALID' })
})

it('two nodes use the newest version that both speak, or none', () => {
  const speaks = (oldestMinor: number, minor: number) => ({ oldestMinor, minor })
  assert.equal(commonMinor(speaks(1, 3), speaks(2, 5)), 3)
  assert.equal(commonMinor(speaks(2, 5), speaks(1, 3)), 3)
  assert.equal(commonMinor(speaks(1, 1), speaks(2, 5)), undefined)
})
