/** The decoders of NARs against the programs that compress. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { decompress } from '../../../../src/ingest/upstream/codec/decompress.ts'
import { chunksOf } from '../../../support/packages.ts'
import { run } from '../../../support/process.ts'

const CONTENT = Buffer.concat([Buffer.from('all work and no play\n'.repeat(8_000)), randomBytes(80_000)])

const program =
  (name: string, ...args: string[]) =>
  (content: Uint8Array) =>
    run(name, ['-c', ...args], { input: content })

const COMPRESSORS: Record<string, Record<string, (content: Uint8Array) => Buffer | Promise<Buffer>>> = {
  none: { plain: (content) => Buffer.from(content) },
  gzip: { zlib: (content) => gzipSync(content), gzip: program('gzip') },
  br: { brotli: (content) => brotliCompressSync(content, { params: { 1: 5 } }) },
  zstd: { 'zstd -19': program('zstd', '-19', '--no-progress'), zlib: (content) => zstdCompressSync(content) },
  xz: {
    'xz -0': program('xz', '-0'),
    'xz of several blocks': program('xz', '-T2', '--block-size=200KiB'),
    'xz --check=crc32': program('xz', '--check=crc32', '-1'),
  },
  bzip2: { bzip2: program('bzip2'), 'bzip2 -1': program('bzip2', '-1') },
}

async function decoded(compression: string, bytes: Uint8Array, chunk = 65_536): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(decompress(compression, chunksOf(bytes, chunk))))
}

describe('decompress', () => {
  for (const [compression, compressors] of Object.entries(COMPRESSORS)) {
    for (const [name, compress] of Object.entries(compressors)) {
      it(`undoes ${name}, however the input is cut`, async () => {
        const bytes = await compress(CONTENT)
        for (const chunk of [bytes.length, 4099]) {
          assert.ok((await decoded(compression, bytes, chunk)).equals(CONTENT))
        }
        const small = await compress(Buffer.from('x'))
        assert.equal((await decoded(compression, small, 1)).toString(), 'x')
      })
    }

    if (compression === 'none') continue
    it(`finds ${compression} that is cut short or damaged`, async () => {
      const [compress] = Object.values(compressors)
      const bytes = await compress!(CONTENT)
      await assert.rejects(decoded(compression, bytes.subarray(0, bytes.length - 100)))
      await assert.rejects(decoded(compression, bytes.subarray(0, bytes.length / 2)))
      await assert.rejects(decoded(compression, CONTENT))
      // Brotli has no checksum.
      if (compression === 'br') return
      const damaged = Buffer.from(bytes)
      damaged[Math.floor(bytes.length / 2)]! ^= 0x55
      await assert.rejects(decoded(compression, damaged))
    })

    it(`takes ${compression} no further than it is wanted, and can be left`, async () => {
      const [compress] = Object.values(compressors)
      const bytes = await compress!(randomBytes(1_000_000))
      let given = 0
      let closed = false
      async function* input() {
        try {
          for await (const chunk of chunksOf(bytes, 16_384)) {
            given += chunk.length
            yield chunk
          }
        } finally {
          closed = true
        }
      }
      for await (const _ of decompress(compression, input())) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        break
      }
      assert.ok(given < bytes.length, `${given} of ${bytes.length}`)
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(closed)
    })

    it(`throws what the input of ${compression} throws`, async () => {
      const [compress] = Object.values(compressors)
      const bytes = await compress!(CONTENT)
      async function* input() {
        yield bytes.subarray(0, 1000)
        throw new RangeError('the source broke')
      }
      await assert.rejects(Array.fromAsync(decompress(compression, input())), RangeError)
    })
  }

  it('reads files of several members, streams or frames', async () => {
    const [a, b] = [CONTENT.subarray(0, 10_000), CONTENT.subarray(200_000, 230_000)]
    const both = Buffer.concat([a, b])
    for (const compression of ['gzip', 'zstd', 'bzip2']) {
      const [compress] = Object.values(COMPRESSORS[compression]!)
      const joined = Buffer.concat([await compress!(a), await compress!(b)])
      for (const chunk of [joined.length, 10_000, 97]) {
        assert.ok((await decoded(compression, joined, chunk)).equals(both), `${compression} in ${chunk}`)
      }
    }
  })

  it('reads zstd of any frames, cut anywhere', async () => {
    const skippable = fc
      .uint8Array({ maxLength: 300 })
      .map((bytes) => ({ frame: skippableFrame(bytes), content: Buffer.alloc(0) }))
    const real = fc
      .uint8Array({ maxLength: 3000 })
      .map((bytes) => ({ frame: zstdCompressSync(bytes), content: Buffer.from(bytes) }))
    const frames = fc.array(fc.oneof(skippable, real), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(frames, fc.integer({ min: 1, max: 500 }), async (parts, chunk) => {
        // A file of skippable frames alone is nothing that could be a NAR.
        const bytes = Buffer.concat([...parts.map(({ frame }) => frame), zstdCompressSync('end')])
        const content = Buffer.concat([...parts.map((part) => part.content), Buffer.from('end')])
        assert.ok((await decoded('zstd', bytes, chunk)).equals(content))
      }),
      { numRuns: 60 },
    )
  })

  it('has a bound on the threads of xz and bzip2, and the wait for one can be ended', async () => {
    const bytes = await run('xz', ['-0', '-c'], { input: CONTENT })
    const open = Array.from({ length: 8 }, () => decompress('xz', chunksOf(bytes))[Symbol.asyncIterator]())
    for (const each of open) assert.ok((await each.next()).value)
    const signal = AbortSignal.timeout(50)
    await assert.rejects(Array.fromAsync(decompress('xz', chunksOf(bytes), signal)), { code: 'ERR_ABORTED' })
    const later = decoded('xz', bytes)
    for (const each of open) await each.return?.()
    assert.ok((await later).equals(CONTENT))
  })

  it('does not know other compressions', () => {
    assert.throws(() => decompress('lzip', chunksOf(CONTENT)), RangeError)
  })
})

function skippableFrame(content: Uint8Array): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184d2a50)
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, content])
}
