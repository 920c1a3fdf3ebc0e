import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { constants, deflateRawSync, deflateSync, inflateRawSync } from 'node:zlib'
import * as fc from 'fast-check'
import { DeflateScanner } from '../../../../src/git/splice/deflate-scanner.ts'
import { DeflateFormatError } from '../../../../src/git/splice/errors.ts'
import { canonicalStream, contents, deflateOptions, makeContent, numbers } from './streams.ts'

interface Facts {
  readonly done: boolean
  readonly finalBit: number
  readonly endBit: number
  readonly outputLength: number
  readonly consumed: number
}

function scan(
  stream: Uint8Array,
  chunkSizes: readonly number[] = [stream.length],
  scanner = new DeflateScanner(),
): Facts {
  for (let at = 0, i = 0; at < stream.length; i++) {
    const size = Math.max(1, chunkSizes[i % chunkSizes.length]!)
    scanner.push(stream.subarray(at, at + size))
    at += size
  }
  const { done, finalBit, endBit, outputLength, consumed } = scanner
  return { done, finalBit, endBit, outputLength, consumed }
}

/** The same stream with the bit flipped that `finalBit` names: no block is final then, so zlib finds no end. */
function withoutFinal(stream: Uint8Array, finalBit: number): Buffer {
  const copy = Buffer.from(stream)
  copy[2 + Math.floor(finalBit / 8)]! ^= 1 << (finalBit % 8)
  return copy
}

/** What zlib makes of raw deflate data: content length and bytes taken, or that it refuses. */
function oracle(raw: Uint8Array): { length: number; taken: number } | undefined {
  try {
    const { buffer, engine } = inflateRawSync(raw, { info: true, maxOutputLength: 1 << 26 }) as unknown as {
      buffer: Buffer
      engine: { bytesWritten: number }
    }
    return { length: buffer.length, taken: engine.bytesWritten }
  } catch {
    return undefined
  }
}

/** Holds the scanner to zlib on a zlib header followed by any bytes. */
function agrees(raw: Uint8Array, chunkSizes: readonly number[]): void {
  const expected = oracle(raw)
  let facts: Facts | undefined
  try {
    facts = scan(Buffer.concat([Buffer.from([0x78, 0x9c]), raw]), chunkSizes)
  } catch (error) {
    assert.ok(error instanceof DeflateFormatError, String(error))
    assert.equal(error.code, 'ERR_DEFLATE_INVALID')
  }
  if (expected === undefined) {
    assert.ok(facts === undefined || facts.endBit === -1, 'zlib refuses what the scanner accepts')
    return
  }
  assert.ok(facts !== undefined, 'the scanner refuses what zlib accepts')
  assert.equal(facts.outputLength, expected.length)
  assert.equal(Math.ceil(facts.endBit / 8), expected.taken)
}

/** Little writer of bits, lowest first. */
function bitString(...fields: readonly (readonly [value: number, width: number])[]): Buffer {
  const bits = fields.flatMap(([value, width]) => Array.from({ length: width }, (_, i) => (value >>> i) & 1))
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8) + 8)
  for (const [i, bit] of bits.entries()) bytes[i >> 3]! |= bit << (i & 7)
  return bytes
}

function refuses(raw: Uint8Array, message: RegExp): void {
  assert.throws(() => scan(Buffer.concat([Buffer.from([0x78, 0x9c]), raw])), {
    code: 'ERR_DEFLATE_INVALID',
    message,
  })
  assert.equal(oracle(raw), undefined, 'zlib accepts it')
}

describe('DeflateScanner', () => {
  it('finds the last block, the end and the length, whatever made the stream and however it is cut', () => {
    fc.assert(
      fc.property(
        contents,
        deflateOptions,
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 }),
        (content, options, chunkSizes) => {
          const stream = deflateSync(content, options)
          const facts = scan(stream)
          assert.equal(facts.done, true)
          assert.equal(facts.outputLength, content.length)
          assert.equal(facts.consumed, stream.length)
          assert.equal(Math.ceil(facts.endBit / 8) + 6, stream.length)
          assert.equal(oracle(withoutFinal(stream, facts.finalBit).subarray(2, -4)), undefined)
          assert.deepEqual(scan(stream, chunkSizes), facts)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('reads streams byte by byte, and with every cut in two', () => {
    const content = makeContent(3000, 40, 7)
    for (const strategy of [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY]) {
      const stream = deflateSync(content, { strategy })
      const facts = scan(stream)
      assert.deepEqual(scan(stream, [1]), facts)
      for (let cut = 1; cut < stream.length; cut++)
        assert.deepEqual(scan(stream, [cut, stream.length]), facts)
    }
  })

  it('finds the empty final block of a canonical stream', () => {
    const stream = canonicalStream(makeContent(50_000, 100, 3), 8192)
    const facts = scan(stream)
    assert.equal(facts.finalBit, (stream.length - 8) * 8)
    assert.equal(facts.endBit, facts.finalBit + 10)
    assert.deepEqual(scan(Buffer.from('789c030000000001', 'hex')), {
      done: true,
      finalBit: 0,
      endBit: 10,
      outputLength: 0,
      consumed: 8,
    })
  })

  it('takes flushes of every kind', () => {
    const content = makeContent(20_000, 60, 5)
    for (const flush of [
      constants.Z_PARTIAL_FLUSH,
      constants.Z_SYNC_FLUSH,
      constants.Z_FULL_FLUSH,
      constants.Z_BLOCK,
    ]) {
      const head = deflateRawSync(content, { finishFlush: flush })
      // a flush that ends within a byte leaves bits which the next block must follow
      if (flush === constants.Z_BLOCK || flush === constants.Z_PARTIAL_FLUSH) {
        assert.equal(scan(Buffer.concat([Buffer.from([0x78, 0x9c]), head])).done, false)
        continue
      }
      const stream = Buffer.concat([
        Buffer.from([0x78, 0x9c]),
        head,
        deflateRawSync(content),
        Buffer.alloc(4),
      ])
      const facts = scan(stream, [777])
      assert.equal(facts.done, true)
      assert.equal(facts.outputLength, 2 * content.length)
    }
  })

  it('leaves alone what follows the stream, and says where it began', () => {
    const stream = deflateSync(makeContent(5000, 30, 1))
    const facts = scan(Buffer.concat([stream, Buffer.from('something else')]), [100])
    assert.equal(facts.consumed, stream.length)
    assert.equal(facts.done, true)
  })

  it('counts bits beyond 2^32', () => {
    const block = Buffer.concat([Buffer.from([0, 0xff, 0xff, 0, 0]), Buffer.alloc(65535)])
    const blocks = Buffer.concat(Array.from({ length: 32 }, () => block))
    const repeats = 300
    const scanner = new DeflateScanner()
    scanner.push(Buffer.from([0x78, 0x01]))
    for (let i = 0; i < repeats; i++) scanner.push(blocks)
    scanner.push(Buffer.from([0x03, 0x00, 1, 2, 3, 4]))
    scanner.finish()
    assert.equal(scanner.finalBit, repeats * blocks.length * 8)
    assert.ok(scanner.finalBit > 2 ** 32)
    assert.equal(scanner.endBit, scanner.finalBit + 10)
    assert.equal(scanner.outputLength, repeats * 32 * 65535)
    assert.equal(scanner.consumed, repeats * blocks.length + 8)
  })

  it('is ready for another stream after reset, also after a failure', () => {
    const stream = deflateSync(makeContent(9000, 90, 2))
    const facts = scan(stream)
    const scanner = new DeflateScanner()
    assert.throws(() => scanner.push(Buffer.from([0x78, 0x9c, 0x07])), DeflateFormatError)
    scanner.reset()
    assert.deepEqual(scan(stream, [50], scanner), facts)
    scanner.reset()
    assert.equal(scanner.done, false)
    assert.equal(scanner.outputLength, 0)
    assert.deepEqual(scan(stream, [stream.length], scanner), facts)
  })

  it('says that a truncated stream is not complete, wherever it is cut', () => {
    const stream = deflateSync(makeContent(1500, 90, 4))
    for (let length = 0; length < stream.length; length++) {
      const scanner = new DeflateScanner()
      scanner.push(stream.subarray(0, length))
      assert.equal(scanner.done, false)
      assert.throws(() => scanner.finish(), { code: 'ERR_DEFLATE_INVALID', message: /ends early/ })
    }
  })

  it('refuses zlib headers that it cannot read', () => {
    assert.throws(() => scan(Buffer.from([0x78, 0x9d])), /header check/)
    assert.throws(() => scan(Buffer.from([0x79, 0x18])), /not deflate/)
    assert.throws(() => scan(Buffer.from([0x88, 0x1c])), /window/)
    assert.throws(() => scan(Buffer.from([0x78, 0xbb])), /dictionary/)
  })

  it('refuses what RFC 1951 forbids', () => {
    refuses(bitString([1, 1], [3, 2]), /block type/)
    refuses(Buffer.from([1, 5, 0, 0, 0, 1, 2, 3, 4, 5]), /stored block/)
    // fixed codes: length symbol 286 is 11000110, distance symbol 30 is 11110; codes are written highest bit first
    refuses(bitString([1, 1], [1, 2], [0b01100011, 8]), /length symbol/)
    refuses(bitString([1, 1], [1, 2], [0b00001100, 8], [0b1000000, 7], [0b01111, 5]), /distance symbol/)
    refuses(bitString([1, 1], [1, 2], [0b1000000, 7], [0, 5]), /before the beginning/)
    refuses(bitString([1, 1], [2, 2], [30, 5], [0, 5], [0, 4]), /too many symbols/)
    refuses(bitString([1, 1], [2, 2], [0, 5], [30, 5], [0, 4]), /too many symbols/)
    // code length codes: all 18, 0, 17 and 16 one bit long
    refuses(bitString([1, 1], [2, 2], [0, 5], [0, 5], [0, 4], [0b001001001001, 12]), /code lengths/)
    // only one of them: incomplete
    refuses(bitString([1, 1], [2, 2], [0, 5], [0, 5], [0, 4], [0b001000000000, 12]), /code lengths/)
    // none at all
    refuses(bitString([1, 1], [2, 2], [0, 5], [0, 5], [0, 4], [0, 12]), /code lengths/)
    // 16 and 0 one bit long: the first length is a repetition of nothing
    refuses(
      bitString([1, 1], [2, 2], [0, 5], [0, 5], [0, 4], [0b001000000001, 12], [1, 1]),
      /no code length to repeat/,
    )
    // 18 and 0: all lengths 0, so no end of block; then one run more than fits
    const zeros = [1, 1] as const
    const run = [127, 7] as const
    const lengths18 = [0b001001000000, 12] as const
    refuses(
      bitString([1, 1], [2, 2], [0, 5], [0, 5], [0, 4], lengths18, zeros, run, zeros, [258 - 138 - 11, 7]),
      /end of the block/,
    )
    refuses(
      bitString([1, 1], [2, 2], [0, 5], [0, 5], [0, 4], lengths18, zeros, run, zeros, run),
      /too many code lengths/,
    )
  })

  it('refuses exactly what zlib refuses: damaged streams', () => {
    fc.assert(
      fc.property(
        contents,
        deflateOptions,
        fc.integer(),
        fc.integer({ min: 1, max: 6 }),
        (content, options, seed, edits) => {
          const raw = deflateRawSync(content.subarray(0, 50_000), options)
          const next = numbers(seed)
          for (let i = 0; i < edits; i++) {
            // half of the damage near the beginning, where block headers are
            const at = next() % (next() % 2 === 0 ? Math.min(raw.length, 80) : raw.length)
            raw[at] = next() % 2 === 0 ? next() : raw[at]! ^ (1 << (next() % 8))
          }
          agrees(raw, [raw.length + 2])
          agrees(raw, [1 + (next() % 64), 1 + (next() % 64)])
        },
      ),
      { numRuns: 400 },
    )
  })

  it('refuses exactly what zlib refuses: noise', () => {
    const next = numbers(11)
    for (let i = 0; i < 3000; i++) {
      const raw = Buffer.from(Array.from({ length: 1 + (next() % 120) }, () => next()))
      // blocks of type 2 and 1 mostly, as the other types end the matter at once
      raw[0] = (raw[0]! & 0xf8) | (next() % 8 < 6 ? 4 : 2) | (next() % 2)
      agrees(raw, [raw.length + 2])
      agrees(raw, [1])
    }
  })
})
