import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crc32, gunzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { GZIP_END_LENGTH, GZIP_HEADER_LENGTH, gzipEnd, gzipHeader } from '../../../../src/git/splice/gzip.ts'
import { MAX_STORED, storedLength, storedPieces } from '../../../../src/git/splice/stored.ts'
import { makeContent, storedBlocks } from './streams.ts'

const lengths = fc.oneof(
  fc.nat(10),
  fc.constantFrom(MAX_STORED - 1, MAX_STORED, MAX_STORED + 1, 2 * MAX_STORED, 2 * MAX_STORED + 1),
  fc.nat(300_000),
)

describe('stored blocks in a gzip member', () => {
  it('unpack to the content and are as long as said', () => {
    fc.assert(
      fc.property(lengths, (length) => {
        const content = makeContent(length, 200, length)
        const blocks = storedBlocks(content)
        assert.equal(blocks.length, storedLength(length))
        const member = Buffer.concat([gzipHeader(), blocks, gzipEnd(crc32(content), length)])
        assert.equal(member.length, GZIP_HEADER_LENGTH + blocks.length + GZIP_END_LENGTH)
        assert.ok(gunzipSync(member).equals(content))
      }),
    )
  })

  it('come in any part', () => {
    fc.assert(
      fc.property(lengths, fc.nat(), fc.nat(), (length, a, b) => {
        const content = makeContent(length, 200, length)
        const whole = storedBlocks(content)
        const [start = 0, end = 0] = [a % (whole.length + 1), b % (whole.length + 1)].sort((x, y) => x - y)
        const part = [...storedPieces(length, start, end)].map((piece) =>
          piece.kind === 'header' ? piece.bytes : content.subarray(piece.from, piece.to),
        )
        assert.ok(Buffer.concat(part).equals(whole.subarray(start, end)))
      }),
    )
  })

  it('reach lengths that nobody holds in memory', () => {
    const length = 2 ** 45 + 12_345
    assert.equal(storedLength(length), length + 5 * Math.ceil(length / MAX_STORED))
    const end = storedLength(length)
    assert.deepEqual(
      [...storedPieces(length, end - 3, end)],
      [{ kind: 'content', from: length - 3, to: length }],
    )
  })

  it('end with a size modulo 2^32', () => {
    assert.equal(gzipEnd(0xffffffff, 2 ** 32 + 7).toString('hex'), '0300ffffffff07000000')
    assert.equal(gzipHeader().toString('hex'), '1f8b08000000000000ff')
  })
})
