import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { constants, crc32, inflateRawSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { CHUNK_SIZE, FINAL_BLOCK, ZLIB_HEADER } from '../../../../src/git/deflate/chunk.ts'
import { ChunkDeflater, loadChunkModule } from '../../../../src/git/deflate/chunk-deflater.ts'
import { Portion } from '../../../../src/git/deflate/portion.ts'
import { adler32, adler32Combine } from '../../../../src/git/splice/adler32.ts'
import { noise, prose } from '../../../support/git-fixture.ts'

const FLUSH = Buffer.from('0000ffff', 'hex')

describe('ChunkDeflater', () => {
  const module = loadChunkModule()
  const deflaters = Array.from({ length: 9 }, (_, i) => new ChunkDeflater(module, i + 1))
  const five = deflaters[4]!

  const content = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc.tuple(fc.integer({ min: 1, max: CHUNK_SIZE }), fc.nat()).map(([size, seed]) => noise(size, seed)),
    fc.tuple(fc.integer({ min: 1, max: CHUNK_SIZE }), fc.nat()).map(([size, seed]) => prose(size, seed)),
    fc
      .tuple(fc.integer({ min: 1, max: CHUNK_SIZE }), fc.nat(255))
      .map(([size, byte]) => Buffer.alloc(size, byte)),
  )

  it('makes chunks that end at a byte boundary, none with a last block, with the checksums of their content', () => {
    fc.assert(
      fc.property(content, fc.constantFrom(...deflaters), (bytes, deflater) => {
        const { deflated, ...sums } = deflater.encode(bytes)
        assert.deepEqual(Buffer.from(deflated.subarray(-4)), FLUSH)
        assert.deepEqual(sums, { adler32: adler32(bytes), crc32: crc32(bytes) })
        // Were a block the last, the inflater would end there, and what follows would be too much.
        const { buffer, engine } = inflateRawSync(Buffer.concat([deflated, FINAL_BLOCK]), {
          info: true,
        }) as unknown as {
          buffer: Buffer
          engine: { bytesWritten: number }
        }
        assert.ok(buffer.equals(bytes))
        assert.equal(engine.bytesWritten, deflated.length + FINAL_BLOCK.length)
      }),
      { numRuns: 150 },
    )
  })

  it('makes zlib streams of chunks one after the other', () => {
    const parts = [prose(CHUNK_SIZE, 1), noise(CHUNK_SIZE, 2), prose(77, 3)]
    const chunks = parts.map((part) => Buffer.from(five.encode(part).deflated))
    const adler = parts.reduce((sum, part) => adler32Combine(sum, adler32(part), part.length), 1)
    const trailer = Buffer.alloc(4)
    trailer.writeUInt32BE(adler)
    const stream = Buffer.concat([ZLIB_HEADER, ...chunks, FINAL_BLOCK, trailer])
    assert.ok(inflateSync(stream).equals(Buffer.concat(parts)))
  })

  it('never takes more room than a portion allows', () => {
    for (const size of [1, 2, 5, 55, 255, 256, 4999, 5001, 65_536, CHUNK_SIZE]) {
      const portion = new Portion()
      let deflated = 0
      while (portion.fits(size)) {
        portion.add(size)
        deflated += five.encode(noise(size, size)).deflated.length
        if (portion.lengths.length > 200) break
      }
      const whole = portion.lengths.length > 200 ? Number.POSITIVE_INFINITY : portion.bytes.length
      assert.ok(portion.lengths.length > 0)
      assert.ok(deflated <= whole, `${size}`)
      assert.ok(deflated <= portion.lengths.length * (size + (size >>> 8) + 16), `${size}`)
    }
  })

  it('has one encoding for each level, whatever was encoded before', () => {
    const text = prose(CHUNK_SIZE, 4)
    const digest = (deflater: ChunkDeflater) =>
      createHash('sha256').update(deflater.encode(text).deflated).digest('hex')
    const first = deflaters.map(digest)
    five.encode(noise(CHUNK_SIZE, 5))
    assert.deepEqual(deflaters.map(digest), first)
    assert.equal(digest(new ChunkDeflater(module, 5)), first[4])
    // A change of the encoder is a change of what nodes serve under the same names: it is to be noticed.
    assert.equal(first[4], '5a497ccc040cf3c47146f0362270c0e88b9e707f3e2cb51fdfb965099cd1b523')
    assert.ok(
      inflateRawSync(five.encode(text).deflated, { finishFlush: constants.Z_SYNC_FLUSH }).equals(text),
    )
  })

  it('refuses what is no chunk', () => {
    assert.throws(() => five.encode(new Uint8Array(0)), RangeError)
    assert.throws(() => five.encode(new Uint8Array(CHUNK_SIZE + 1)), RangeError)
  })
})
