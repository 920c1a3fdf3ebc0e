import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crc32, deflateSync } from 'node:zlib'
import * as fc from 'fast-check'
import { adler32, adler32Combine } from '../../../../src/git/splice/adler32.ts'
import { crc32Combine } from '../../../../src/git/splice/crc32-combine.ts'

const data = fc.uint8Array({ maxLength: 20_000 })

/** CRC-32 after `length` zero bytes, by squaring the 32 x 32 matrix of one zero bit: slow and obvious. */
function afterZeros(crc: number, length: bigint): number {
  let matrix = Array.from({ length: 32 }, (_, bit) => (bit === 0 ? 0xedb88320 : 1 << (bit - 1)))
  const times = (rows: readonly number[], vector: number): number =>
    rows.reduce((sum, row, bit) => ((vector >>> bit) & 1 ? sum ^ row : sum), 0)
  let result = crc
  for (let bits = length * 8n; bits > 0n; bits >>= 1n) {
    if (bits & 1n) result = times(matrix, result)
    const rows = matrix
    matrix = rows.map((row) => times(rows, row))
  }
  return result >>> 0
}

describe('checksums', () => {
  it('crc32Combine is the CRC-32 of both stretches', () => {
    fc.assert(
      fc.property(data, data, (first, second) => {
        const expected = crc32(second, crc32(first))
        assert.equal(crc32Combine(crc32(first), crc32(second), second.length), expected)
      }),
    )
    assert.equal(crc32Combine(5, 0, 0), 5)
  })

  it('crc32Combine takes lengths up to 2^53 - 1', () => {
    const crcs = fc.integer({ min: 0, max: 0xffffffff })
    fc.assert(
      fc.property(crcs, crcs, fc.maxSafeNat(), (first, second, length) => {
        assert.equal(crc32Combine(first, second, length), (afterZeros(first, BigInt(length)) ^ second) >>> 0)
      }),
      {
        numRuns: 50,
        examples: [
          [1, 2, Number.MAX_SAFE_INTEGER],
          [1, 2, 2 ** 32],
          [1, 2, 2 ** 32 - 1],
          [1, 2, 2 ** 31],
        ],
      },
    )
  })

  it('adler32 is what zlib writes behind a stream', () => {
    fc.assert(
      fc.property(data, (bytes) => {
        assert.equal(adler32(bytes), deflateSync(bytes).readUInt32BE(deflateSync(bytes).length - 4))
      }),
    )
    const most = Buffer.alloc(3_000_000, 0xff)
    assert.equal(adler32(most), deflateSync(most).subarray(-4).readUInt32BE(0))
  })

  it('adler32 goes on and combines', () => {
    fc.assert(
      fc.property(data, data, (first, second) => {
        const whole = adler32(Buffer.concat([first, second]))
        assert.equal(adler32(second, adler32(first)), whole)
        assert.equal(adler32Combine(adler32(first), adler32(second), second.length), whole)
      }),
    )
    // both sums of a stretch of zeros are those of its length
    assert.equal(
      adler32Combine(adler32(Buffer.from([7])), ((2 ** 40 % 65521) * 65536 + 1) >>> 0, 2 ** 40),
      (((8 + 8 * (2 ** 40 % 65521)) % 65521) * 65536 + 8) >>> 0,
    )
  })
})
