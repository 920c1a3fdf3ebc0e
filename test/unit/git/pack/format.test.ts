import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CorruptPackError } from '../../../../src/git/object-errors.ts'
import { EMPTY_BLOB, oidToBytes } from '../../../../src/git/oid.ts'
import {
  decodeEntryHeader,
  decodePackHeader,
  encodeEntryHeader,
  encodeOfsDistance,
  encodePackHeader,
  MAX_ENTRY_HEADER_BYTES,
  type PackEntryType,
} from '../../../../src/git/pack/format.ts'

const size = fc.maxSafeNat()

test('pack headers', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (count) =>
      assert.equal(decodePackHeader(encodePackHeader(count)), count),
    ),
  )
  assert.throws(() => encodePackHeader(2 ** 32), RangeError)
  const header = encodePackHeader(1)
  assert.throws(() => decodePackHeader(header.subarray(0, 11)), CorruptPackError)
  assert.throws(() => decodePackHeader(Buffer.from('PACX00000000')), CorruptPackError)
  header[7] = 4
  assert.throws(() => decodePackHeader(header, 'x.pack'), /x\.pack/)
})

test('entry headers of objects', () => {
  const type = fc.constantFrom<PackEntryType>('commit', 'tree', 'blob', 'tag')
  fc.assert(
    fc.property(type, size, fc.nat(5), (type, size, at) => {
      const encoded = encodeEntryHeader(type, size)
      const decoded = decodeEntryHeader(
        Buffer.concat([Buffer.alloc(at, 0xff), encoded, Buffer.alloc(9, 0xff)]),
        at,
        12,
      )
      assert.deepEqual(decoded, { type, size, headerLength: encoded.length })
      assert.ok(encoded.length <= MAX_ENTRY_HEADER_BYTES)
    }),
  )
})

test('entry headers of deltas', () => {
  fc.assert(
    fc.property(size, fc.integer({ min: 1, max: 2 ** 45 }), (size, distance) => {
      const at = distance + 12
      const encoded = Buffer.concat([encodeEntryHeader('ofs-delta', size), encodeOfsDistance(distance)])
      assert.deepEqual(decodeEntryHeader(encoded, 0, at), {
        type: 'ofs-delta',
        size,
        headerLength: encoded.length,
        base: 12,
      })
      assert.throws(() => decodeEntryHeader(encoded, 0, at - 1), CorruptPackError)
      const named = Buffer.concat([encodeEntryHeader('ref-delta', size), oidToBytes(EMPTY_BLOB)])
      assert.deepEqual(decodeEntryHeader(named, 0, at), {
        type: 'ref-delta',
        size,
        headerLength: named.length,
        base: EMPTY_BLOB,
      })
      assert.throws(() => decodeEntryHeader(named.subarray(0, -1), 0, at), CorruptPackError)
    }),
  )
})

test('any bytes decode within bounds or are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 12, max: 2 ** 40 }), (bytes, offset) => {
      try {
        const { headerLength, size } = decodeEntryHeader(bytes, 0, offset)
        assert.ok(headerLength <= bytes.length && Number.isSafeInteger(size))
      } catch (error) {
        assert.ok(error instanceof CorruptPackError)
      }
    }),
    { numRuns: 500 },
  )
  const endless = Buffer.alloc(40, 0xff)
  endless[0] = 0xb0
  assert.throws(() => decodeEntryHeader(endless, 0, 12), /impossible size/)
  endless[0] = 0x60
  assert.throws(() => decodeEntryHeader(endless, 0, 12), /outside of the pack/)
})

test('refuses numbers that cannot be written', () => {
  assert.throws(() => encodeEntryHeader('blob', -1), RangeError)
  assert.throws(() => encodeEntryHeader('blob', 2 ** 53), RangeError)
  assert.throws(() => encodeOfsDistance(0), RangeError)
})
