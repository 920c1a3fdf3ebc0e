import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { CorruptPackIndexError } from '../../../../src/git/object-errors.ts'
import { PackIndex } from '../../../../src/git/pack/index-reader.ts'
import { encodePackIndex } from '../../../../src/git/pack/index-writer.ts'

const CHECKSUM = Buffer.alloc(20, 0xab)
const oid = fc.oneof(
  fc.uint8Array({ minLength: 20, maxLength: 20 }),
  // Ids that differ only at their ends, in the first and last fanout buckets.
  fc
    .tuple(fc.constantFrom(0, 0xff), fc.nat(255))
    .map(([byte, last]) => new Uint8Array(20).fill(byte, 0, 19).fill(last, 19)),
)
const rows = fc
  .uniqueArray(oid, { selector: (bytes) => Buffer.from(bytes).toString('hex'), maxLength: 60 })
  .chain((oids) =>
    fc.record({
      oids: fc.constant(oids.map((bytes) => Buffer.from(bytes).toString('hex'))),
      offsets: fc.uniqueArray(fc.integer({ min: 12, max: 2 ** 45 }), {
        minLength: oids.length,
        maxLength: oids.length,
      }),
    }),
  )
  .map(({ oids, offsets }) =>
    oids.map((oid, i) => ({ oid, offset: offsets[i]!, crc32: (i * 2654435761) >>> 0 })),
  )

function sealed(bytes: Buffer): Buffer {
  createHash('sha1')
    .update(bytes.subarray(0, -20))
    .digest()
    .copy(bytes, bytes.length - 20)
  return bytes
}

test('every object is found with what was written for it', () => {
  fc.assert(
    fc.property(rows, oid, (list, other) => {
      const packSize = Math.max(12, ...list.map(({ offset }) => offset)) + 120
      const index = PackIndex.parse(Buffer.concat(encodePackIndex(list, CHECKSUM)), { packSize })
      assert.equal(index.count, list.length)
      assert.equal(index.packChecksum, CHECKSUM.toString('hex'))
      const sorted = list.toSorted((a, b) => a.offset - b.offset)
      for (const [rank, { oid, offset, crc32 }] of sorted.entries()) {
        const position = index.find(oid)
        assert.equal(index.oidAt(position), oid)
        assert.equal(index.offsetAt(position), offset)
        assert.equal(index.crc32At(position), crc32)
        assert.equal(index.lengthAt(position), (sorted[rank + 1]?.offset ?? packSize - 20) - offset)
        assert.equal(index.packOrder()[rank], position)
      }
      const text = Buffer.from(other).toString('hex')
      if (!list.some((row) => row.oid === text)) assert.equal(index.find(text), -1)
      assert.throws(() => index.offsetAt(list.length), RangeError)
      assert.throws(() => index.oidAt(-1), RangeError)
    }),
  )
})

test('lengths of the entries of a large pack, in whatever order they lie', () => {
  const count = 20_000
  const list = Array.from({ length: count }, (_, i) => ({
    oid: createHash('sha1').update(`${i}`).digest('hex'),
    // Up to 2 GiB, in an order that is neither that of the numbers nor that of the ids.
    offset: 12 + ((i * 7919) % count) * 100_000,
    crc32: i,
  }))
  const packSize = 12 + count * 100_000 + 20
  const index = PackIndex.parse(Buffer.concat(encodePackIndex(list, CHECKSUM)), { packSize })
  for (const { oid, offset } of list) {
    assert.equal(index.lengthAt(index.find(oid)), 100_000)
    assert.equal(index.lengthFrom(offset), 100_000)
  }
  const order = index.packOrder()
  for (let rank = 1; rank < count; rank++)
    assert.ok(index.offsetAt(order[rank]!) > index.offsetAt(order[rank - 1]!))
  assert.throws(() => index.lengthFrom(13), { code: 'ERR_GIT_CORRUPT_PACK' })
})

test('an index whose checksum is right may still be wrong: it is refused or stays in bounds', () => {
  fc.assert(
    fc.property(rows, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(40), (list, at, mask, cut) => {
      const bytes = Buffer.concat(encodePackIndex(list, CHECKSUM))
      bytes[at % bytes.length]! ^= mask
      const changed = sealed(cut > 20 ? bytes : bytes.subarray(0, bytes.length - cut))
      try {
        const index = PackIndex.parse(changed, { packSize: 2 ** 46 })
        for (const { oid } of list) index.find(oid)
        for (let position = 0; position < index.count; position++) {
          assert.ok(index.offsetAt(position) >= 12 && index.offsetAt(position) < 2 ** 46)
          assert.ok(index.lengthAt(position) > 0)
          index.crc32At(position)
        }
      } catch (error) {
        assert.ok(error instanceof CorruptPackIndexError, String(error))
      }
    }),
    { numRuns: 300 },
  )
})

test('each kind of damage is named', () => {
  const row = { oid: 'ab'.repeat(20), crc32: 1, offset: 2 ** 40 }
  const good = Buffer.concat(encodePackIndex([row], CHECKSUM))
  const change = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(good)
    bytes.writeUInt32BE(value, at)
    return sealed(bytes)
  }
  const table = 8 + 1024
  const bad: [RegExp, Buffer][] = [
    [/too short/, good.subarray(0, 100)],
    [/version 2/, change(0, 1)],
    [/version 2/, change(4, 3)],
    [/goes down/, change(8, 2)],
    [/do not fit/, change(8 + 255 * 4, 9)],
    [/checksum/, Buffer.concat([good.subarray(0, -1), Buffer.from([good.at(-1)! ^ 1])])],
    [/has no offset/, change(table + 24, 0x80000001)],
    [/outside of its pack/, change(table + 24, 5)],
    [/outside of its pack/, change(table + 28, 0x7fffffff)],
  ]
  for (const [message, bytes] of bad) assert.throws(() => PackIndex.parse(bytes, { path: 'x.idx' }), message)
  assert.throws(() => PackIndex.parse(good, { packSize: 2 ** 40 + 20 }), /outside of its pack/)
  const twins = encodePackIndex([row, { ...row, oid: 'cd'.repeat(20) }], CHECKSUM)
  assert.throws(() => PackIndex.parse(Buffer.concat(twins)).lengthAt(0), /two objects lie at offset/)
  assert.throws(() => PackIndex.parse(good).lengthAt(0), RangeError)
})

test('refuses rows that cannot be written', () => {
  assert.throws(() => encodePackIndex([], Buffer.alloc(19)), RangeError)
  assert.throws(() => encodePackIndex([{ oid: 'x', crc32: 0, offset: 12 }], CHECKSUM), {
    code: 'ERR_INVALID_OID',
  })
  assert.throws(() => encodePackIndex([{ oid: 'a'.repeat(40), crc32: 0, offset: -1 }], CHECKSUM), RangeError)
})
