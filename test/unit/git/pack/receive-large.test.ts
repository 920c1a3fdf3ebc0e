/** Large entries are inflated alike with a decoder that is used again, and with Node's streams where there is none. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { constants, deflateSync } from 'node:zlib'
import fc from 'fast-check'
import {
  createLargeInflater,
  type LargeInflater,
  StreamInflater,
} from '../../../../src/git/pack/receive-large.ts'
import { adler32 } from '../../../../src/git/splice/adler32.ts'
import { noise, prose } from '../../../support/git-fixture.ts'

type Create = (size: number, content: (bytes: Buffer) => void) => LargeInflater

const WAYS: readonly (readonly [string, Create])[] = [
  ['a decoder', createLargeInflater],
  ['streams', (size, content) => new StreamInflater(size, content)],
]

/** Gives it all of `raw` in pieces; what it makes of that, and how much of it it took. */
async function inflate(
  create: Create,
  raw: Buffer,
  size: number,
  piece: number,
): Promise<{ data: Buffer; used: number; ended: boolean }> {
  const parts: Buffer[] = []
  const inflater = create(size, (bytes) => void parts.push(Buffer.from(bytes)))
  try {
    let used = 0
    while (!inflater.done && used < raw.length) used += await inflater.push(raw.subarray(used, used + piece))
    const ended = inflater.done || (await inflater.finish())
    return { data: Buffer.concat(parts), used, ended }
  } finally {
    inflater.close()
  }
}

const streams = fc.record({
  length: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 600_000 })),
  text: fc.boolean(),
  level: fc.constantFrom(0, 1, 9),
  piece: fc.integer({ min: 700, max: 300_000 }),
  behind: fc.integer({ min: 0, max: 50 }),
})

for (const [name, create] of WAYS) {
  describe(`inflating large entries with ${name}`, () => {
    it('gives the content and takes no more than its stream', async () => {
      await fc.assert(
        fc.asyncProperty(streams, async ({ length, text, level, piece, behind }) => {
          const content = text ? prose(length, 1) : noise(length, 2)
          const raw = deflateSync(content, { level })
          const found = await inflate(create, Buffer.concat([raw, noise(behind, 3)]), length, piece)
          assert.ok(found.data.equals(content))
          assert.deepEqual([found.used, found.ended], [raw.length, true])
        }),
        { numRuns: 40 },
      )
    })

    it('refuses what is longer, damaged or has another checksum', async () => {
      const content = prose(400_000, 1)
      const raw = deflateSync(content)
      const refused = { code: 'ERR_PACK_INVALID' }
      await assert.rejects(inflate(create, raw, content.length - 1, 50_000), refused)
      for (const at of [0, 1, raw.length - 1]) {
        const damaged = Buffer.from(raw)
        damaged.writeUInt8(damaged[at]! ^ 0x40, at)
        await assert.rejects(inflate(create, damaged, content.length, 50_000), refused)
      }
      const cut = await inflate(create, raw.subarray(0, raw.length - 1), content.length, 50_000)
      assert.equal(cut.ended, false)
    })

    it('knows whether a stream could end where it is', async () => {
      const content = prose(300_000, 1)
      const flushed = deflateSync(content, { finishFlush: constants.Z_FULL_FLUSH })
      const adler = adler32(content)
      for (const [raw, checksum, expected] of [
        [flushed, adler, true],
        [flushed, adler ^ 1, false],
        [flushed.subarray(0, -1), adler, false],
        [deflateSync(content).subarray(0, -6), adler, false],
      ] as const) {
        const inflater = create(content.length, () => {})
        await inflater.push(raw)
        assert.equal(await inflater.endsHere(checksum), expected)
        inflater.close()
      }
    })
  })
}
