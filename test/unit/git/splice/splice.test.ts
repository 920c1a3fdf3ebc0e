import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { constants, crc32, deflateSync, gunzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { recordFits, type SpliceableRecord } from '../../../../src/git/splice/record.ts'
import { splicedLength, splicePlan } from '../../../../src/git/splice/splice.ts'
import {
  type Blob,
  canonicalStream,
  contents,
  deflateOptions,
  gzipMember,
  makeContent,
  numbers,
  scanned,
  splicedRange,
} from './streams.ts'

/** What `gzip -d` makes of the member, after `gzip -t` (which checks CRC and length) has passed it. */
function realGunzip(member: Uint8Array): Buffer {
  const checked = spawnSync('gzip', ['-t'], { input: member })
  assert.equal(checked.status, 0, checked.stderr.toString())
  assert.equal(checked.stderr.toString(), '')
  return spawnSync('gzip', ['-dc'], { input: member, maxBuffer: 1 << 28 }).stdout
}

function blobOf(content: Buffer, options: Parameters<typeof deflateSync>[1]): Blob {
  const stream = deflateSync(content, options)
  return { content, stream, record: scanned(stream, content) }
}

function canonicalBlob(content: Buffer, chunkSize?: number): Blob {
  return {
    content,
    stream: canonicalStream(content, chunkSize),
    record: { kind: 'canonical', crc32: crc32(content) },
  }
}

const blobs: fc.Arbitrary<Blob> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(contents, deflateOptions).map(([content, options]) => blobOf(content, options)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(contents, fc.integer({ min: 100, max: 70_000 }))
      .map(([content, chunkSize]) => canonicalBlob(content, chunkSize)),
  },
)

describe('splicing', () => {
  it('makes one gzip member of blobs and framing that unpacks to them', () => {
    fc.assert(
      fc.property(
        fc.array(blobs, { maxLength: 6 }),
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        (list, framing) => {
          const { member, content } = gzipMember(list, framing)
          assert.ok(gunzipSync(member).equals(content))
        },
      ),
      { numRuns: 100 },
    )
  })

  it('makes what gzip itself accepts, at every bit that a stream can end at', () => {
    const next = numbers(5)
    const list: Blob[] = [canonicalBlob(Buffer.alloc(0)), canonicalBlob(makeContent(3_000_000, 90, 8))]
    const ends = new Set<number>()
    for (let i = 0; i < 200; i++) {
      const blob = blobOf(makeContent(next() % 3000, 1 + (next() % 255), next()), {
        level: next() % 10,
        strategy: i % 4 === 0 ? constants.Z_FIXED : constants.Z_DEFAULT_STRATEGY,
      })
      if (blob.record.kind === 'bits') ends.add(blob.record.endBit % 8)
      list.push(blob)
    }
    assert.equal(ends.size, 8)
    const { member, content } = gzipMember(list, makeContent(70_000, 20, 1))
    assert.ok(realGunzip(member).equals(content))
  })

  it('makes any part from no more than its own bytes', () => {
    fc.assert(
      fc.property(blobs, fc.nat(), fc.nat(), (blob, a, b) => {
        const plan = splicePlan(blob.record, blob.stream.length)
        const whole = splicedRange(plan, blob.stream, 0, plan.length)
        const [start = 0, end = 0] = [a % (plan.length + 1), b % (plan.length + 1)].sort((x, y) => x - y)
        assert.ok(splicedRange(plan, blob.stream, start, end).equals(whole.subarray(start, end)))
      }),
      { numRuns: 100 },
    )
    for (const blob of [
      blobOf(Buffer.from('one'), {}),
      blobOf(Buffer.alloc(0), {}),
      blobOf(makeContent(40, 9, 9), {}),
    ]) {
      const plan = splicePlan(blob.record, blob.stream.length)
      const whole = splicedRange(plan, blob.stream, 0, plan.length)
      for (let start = 0; start <= whole.length; start++) {
        for (let end = start; end <= whole.length; end++) {
          assert.ok(splicedRange(plan, blob.stream, start, end).equals(whole.subarray(start, end)))
        }
      }
    }
  })

  it('says how long a spliced blob is', () => {
    fc.assert(
      fc.property(blobs, (blob) => {
        const plan = splicePlan(blob.record, blob.stream.length)
        assert.equal(splicedLength(blob.record, blob.stream.length), plan.length)
        assert.equal(splicedRange(plan, blob.stream, 0, plan.length).length, plan.length)
      }),
    )
    assert.equal(splicedLength({ kind: 'canonical' }, 8), 0)
  })

  it('changes at most two bytes of the stream', () => {
    const { stream, record } = blobOf(makeContent(500, 30, 3), {})
    const plan = splicePlan(record, stream.length)
    const spliced = splicedRange(plan, stream, 0, plan.bodyLength)
    const changed = [...spliced].filter((byte, i) => byte !== stream[plan.from + i]).length
    assert.ok(changed <= 2)
    assert.ok(plan.patches.length <= 2)
  })

  it('refuses a record that cannot be of the stream', () => {
    const stream = deflateSync(Buffer.from('content'))
    const record = scanned(stream, Buffer.from('content'))
    assert.ok(record.kind === 'bits')
    assert.equal(recordFits(record, stream.length), true)
    const wrong: [SpliceableRecord, number][] = [
      [record, stream.length + 1],
      [record, stream.length - 1],
      [{ ...record, finalBit: record.endBit - 9 }, stream.length],
      [{ ...record, finalBit: -1 }, stream.length],
      [{ kind: 'canonical', crc32: 0 }, 7],
    ]
    for (const [bad, length] of wrong) {
      assert.throws(() => splicePlan(bad, length), RangeError)
      assert.throws(() => splicedLength(bad, length), RangeError)
    }
  })
})
