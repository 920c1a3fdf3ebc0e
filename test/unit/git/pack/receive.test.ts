import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { constants, deflateSync, type ZlibOptions } from 'node:zlib'
import * as fc from 'fast-check'
import { hashObject } from '../../../../src/git/oid.ts'
import { encodeEntryHeader } from '../../../../src/git/pack/format.ts'
import { SmallEntries } from '../../../../src/git/pack/receive-inflate.ts'
import { noise, prose } from '../../../support/git-fixture.ts'
import { copyDelta, type Entry, ofsDelta, packOf, whole } from '../../../support/pack-maker.ts'
import { chunksOf } from '../../../support/packages.ts'
import { ReceivingPlace } from '../../../support/receiving.ts'

const LIMITS = { objects: 1000, packBytes: 1e9, inflatedBytes: 1e9 }

/** Contents of lengths around those at which the way of inflating changes. */
const contents = fc
  .record({
    length: fc.oneof(
      fc.integer({ min: 0, max: 300 }),
      fc.integer({ min: 131_000, max: 131_200 }),
      fc.integer({ min: 262_000, max: 524_400 }),
    ),
    seed: fc.nat(1000),
    text: fc.boolean(),
  })
  .map(({ length, seed, text }) => (text ? prose(length, seed) : noise(length, seed)))

const ways: fc.Arbitrary<ZlibOptions> = fc.record({
  level: fc.constantFrom(0, 1, 6, 9),
  strategy: fc.constantFrom(constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY),
  windowBits: fc.constantFrom(9, 12, 15),
})

/** A blob deflated in two parts with a flush between, the second of which may be empty. */
function flushed(content: Buffer): Entry {
  // A full flush at the end, then nothing: the form that can be spliced.
  const body = deflateSync(content, { finishFlush: constants.Z_FULL_FLUSH })
  const adler = deflateSync(content).subarray(-4)
  return () => Buffer.concat([encodeEntryHeader('blob', content.length), body, Buffer.from([3, 0]), adler])
}

describe('receiving a pack', () => {
  const root = join(mkdtempSync(join(tmpdir(), 'gachix-receive-')), 'place')
  let place: ReceivingPlace
  before(() => {
    place = new ReceivingPlace(root)
  })
  after(() => place[Symbol.asyncDispose]())

  it('finds every object, however it is deflated and cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ content: contents, way: fc.option(ways) }), { maxLength: 8 }),
        fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1000, max: 2_000_000 })),
        async (blobs, size) => {
          place.clear()
          const entries = blobs.map(({ content, way }): Entry => {
            if (way === null) return flushed(content)
            return () => Buffer.concat([encodeEntryHeader('blob', content.length), deflateSync(content, way)])
          })
          const pack = packOf(entries)
          const received = await place.receive(
            chunksOf(pack, pack.length > 100_000 ? size + 10_000 : size),
            LIMITS,
          )
          assert.deepEqual(received, { objects: blobs.length, bytes: pack.length })
          const expected = new Set(blobs.map(({ content }) => hashObject('blob', content)))
          assert.deepEqual(await place.check(), expected)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('keeps the objects that came whole, wherever the pack breaks off', async () => {
    const blobs = [prose(500, 1), noise(140_000, 2), prose(3000, 3), Buffer.alloc(0), noise(400, 4)]
    const ends: number[] = []
    const entries = blobs.map(
      (content): Entry =>
        (at) => {
          const entry = whole('blob', content)(at, [])
          ends.push(at + entry.length)
          return entry
        },
    )
    const pack = packOf([...entries, ofsDelta(2, copyDelta(3000, 2000))])
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: pack.length - 1 }), fc.boolean(), async (length, fails) => {
        place.clear()
        const source = async function* (): AsyncGenerator<Uint8Array> {
          yield* chunksOf(pack.subarray(0, length), 5000)
          if (fails) throw new TypeError('the line is cut')
        }
        await assert.rejects(
          place.receive(source(), LIMITS),
          fails ? { message: 'the line is cut' } : { code: 'ERR_PACK_INVALID' },
        )
        const found = await place.check()
        for (const [i, content] of blobs.entries())
          assert.equal(
            found.has(hashObject('blob', content)),
            ends[i]! <= length,
            `blob ${i} of ${length} bytes`,
          )
      }),
      {
        numRuns: 40,
        examples: [
          [pack.length - 1, true],
          [pack.length - 1, false],
          [0, false],
          [12, true],
        ],
      },
    )
  })

  it('ends when it is told to, also where the source hangs', async () => {
    place.clear()
    const controller = new AbortController()
    const pack = packOf([whole('blob', Buffer.from('first')), whole('blob', noise(2000, 1))])
    let returned = false
    const hanging: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => {
        let begun = false
        return {
          next: () => {
            if (begun) {
              controller.abort()
              return new Promise(() => {})
            }
            begun = true
            return Promise.resolve({ done: false, value: pack.subarray(0, 1000) })
          },
          return: () => {
            returned = true
            return new Promise(() => {})
          },
        }
      },
    }
    await assert.rejects(place.receive(hanging, LIMITS, controller.signal), { code: 'ERR_ABORTED' })
    assert.ok(returned)
    assert.deepEqual(await place.check(), new Set([hashObject('blob', Buffer.from('first'))]))
  })

  it('leaves nothing unfinished where the pack cannot be completed', async () => {
    place.clear()
    rmSync(join(root, 'splice'), { recursive: true })
    writeFileSync(join(root, 'splice'), 'no folder')
    const pack = packOf([whole('blob', noise(2000, 1))])
    await assert.rejects(place.receive(chunksOf(pack), LIMITS), { code: 'EEXIST' })
    assert.deepEqual(await place.check(), new Set())
  })

  it('takes a stream for spliceable only if it is', () => {
    // A last stored block that ends like a full flush, before an Adler-32 that begins like a final block.
    const content = Buffer.concat([noise(1000, 1), Buffer.of(0, 0, 0xff, 0xff)])
    let raw: Buffer
    for (let i = 0; ; i++) {
      content.writeUInt32LE(i)
      raw = deflateSync(content, { level: 0 })
      if (raw.readUInt16BE(raw.length - 4) === 0x0300) break
    }
    raw[1] = 0x9c
    raw[0] = 0x78
    const entries = new SmallEntries(content.length)
    const found = entries.inflate(Buffer.concat([raw, Buffer.alloc(30)]), content.length)
    assert.deepEqual(found, { data: content, length: raw.length, canonical: false })
    const entry = flushed(content)(0, [])
    const stream = entry.subarray(encodeEntryHeader('blob', content.length).length)
    assert.equal(entries.inflate(Buffer.from(stream), content.length)?.canonical, true)
    // The checksum that is compared is the stream's own.
    const wrong = Buffer.from(stream)
    wrong.writeUInt8(wrong.at(-1)! ^ 1, wrong.length - 1)
    assert.throws(() => entries.inflate(wrong, content.length), { code: 'ERR_PACK_INVALID' })
    // One that is equal to it only when it is reckoned with.
    const zeros = Buffer.alloc(100)
    const equal = flushed(zeros)(0, []).subarray(encodeEntryHeader('blob', zeros.length).length)
    assert.equal(entries.inflate(Buffer.from(equal), zeros.length)?.canonical, true)
    equal.writeUInt16BE(65_521 + 1, equal.length - 2)
    assert.throws(() => entries.inflate(equal, zeros.length), { code: 'ERR_PACK_INVALID' })
  })
})
