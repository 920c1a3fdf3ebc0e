import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { Cache } from '../../support/cache-server.ts'

async function start(t: TestContext) {
  const cache = await Cache.start(t)
  const made = cache.store.put('a', {
    contents: Buffer.concat([randomBytes(300_000), Buffer.alloc(200_000)]),
  })
  const { id } = (await cache.store.package(made.hash))!.gzip!
  return { cache, made, plain: `/nar/${made.tree}.nar`, gz: `/nar/${made.tree}.${id}.nar.gz` }
}

describe('the plain NAR', () => {
  test('comes whole, with its length and ranges on offer', async (t) => {
    const { cache, made, plain } = await start(t)
    const { status, headers, body } = await cache.get(plain)
    assert.equal(status, 200)
    assert.ok(body.equals(made.nar))
    assert.equal(headers['accept-ranges'], 'bytes')
    assert.equal(headers.vary, 'Accept-Encoding')
    assert.equal(headers['content-encoding'], undefined)
    assert.match(headers.etag!, /^"[0-9A-Za-z]+"$/)
  })

  test('comes as one gzip member to who accepts it', async (t) => {
    const { cache, made, plain } = await start(t)
    const { status, headers, body } = await cache.get(plain, { 'accept-encoding': 'deflate, gzip, br, zstd' })
    assert.equal(status, 200)
    assert.equal(headers['content-encoding'], 'gzip')
    assert.equal(headers.vary, 'Accept-Encoding')
    assert.equal(headers['accept-ranges'], 'none')
    assert.ok(body.equals(made.gzip!))
    assert.notEqual(headers.etag, (await cache.get(plain)).headers.etag)
  })

  test('comes plain to who accepts no gzip, asks for a range, or when there is no gzip form', async (t) => {
    const { cache, made, plain } = await start(t)
    for (const accepted of ['gzip;q=0', '*', 'br', 'identity', '']) {
      const { headers, body } = await cache.get(plain, { 'accept-encoding': accepted })
      assert.equal(headers['content-encoding'], undefined, accepted)
      assert.ok(body.equals(made.nar))
    }
    const both = { 'accept-encoding': 'gzip', range: 'bytes=0-99' }
    const part = await cache.get(plain, both)
    assert.deepEqual([part.status, part.headers['content-encoding']], [206, undefined])
    assert.ok(part.body.equals(made.nar.subarray(0, 100)))
    const several = await cache.get(plain, { ...both, range: 'bytes=0-1,3-4' })
    assert.deepEqual([several.status, several.headers['content-encoding']], [200, undefined])
    made.gzip = undefined
    const late = await cache.get(plain, { 'accept-encoding': 'gzip' })
    assert.ok(late.body.equals(made.nar))
  })
})

describe('ranges', () => {
  test('any range is that slice, of the gzip NAR too', async (t) => {
    const { cache, made, plain, gz } = await start(t)
    const cases = [
      [plain, made.nar],
      [gz, made.gzip!],
    ] as const
    const property = fc.asyncProperty(
      fc.constantFrom(...cases),
      fc.nat(),
      fc.nat(),
      async ([path, bytes], a, b) => {
        const start = a % bytes.length
        const end = start + (b % (bytes.length - start))
        const { status, headers, body } = await cache.get(path, { range: `bytes=${start}-${end}` })
        assert.equal(status, 206)
        assert.equal(headers['content-range'], `bytes ${start}-${end}/${bytes.length}`)
        assert.equal(Number(headers['content-length']), body.length)
        assert.ok(body.equals(bytes.subarray(start, end + 1)))
      },
    )
    await fc.assert(property, { numRuns: 60 })
    for (const [path, bytes] of cases) {
      assert.ok((await cache.get(path, { range: 'bytes=7-' })).body.equals(bytes.subarray(7)))
      assert.ok((await cache.get(path, { range: 'bytes=-9' })).body.equals(bytes.subarray(-9)))
      assert.ok((await cache.get(path, { range: 'bytes=5-999999999999' })).body.equals(bytes.subarray(5)))
    }
    assert.equal(cache.store.readers, 0)
  })

  test('outside of the body gives 416 with the length', async (t) => {
    const { cache, made, plain, gz } = await start(t)
    for (const [path, size] of [
      [plain, made.nar.length],
      [gz, made.gzip!.length],
    ] as const) {
      for (const range of [`bytes=${size}-`, `bytes=${size}-${size + 5}`, 'bytes=-0']) {
        const { status, headers } = await cache.get(path, { range })
        assert.deepEqual([status, headers['content-range']], [416, `bytes */${size}`])
        assert.match(headers['content-type']!, /^text\/plain/)
      }
    }
  })

  test('If-Range holds for the strong etag only', async (t) => {
    const { cache, made, plain, gz } = await start(t)
    for (const [path, size] of [
      [plain, made.nar.length],
      [gz, made.gzip!.length],
    ] as const) {
      const etag = (await cache.get(path)).headers.etag!
      const ask = (tag: string) => cache.get(path, { range: 'bytes=1-2', 'if-range': tag })
      assert.equal((await ask(etag)).status, 206)
      for (const tag of ['"other"', `W/${etag}`, 'Wed, 21 Oct 2015 07:28:00 GMT']) {
        const whole = await ask(tag)
        assert.deepEqual([whole.status, whole.body.length], [200, size], tag)
      }
    }
  })

  test('mean nothing to HEAD', async (t) => {
    const { cache, made, gz } = await start(t)
    const { status, headers } = await cache.head(gz, { range: 'bytes=1-2' })
    assert.deepEqual([status, Number(headers['content-length'])], [200, made.gzip!.length])
  })
})

describe('the gzip NAR', () => {
  test('is an opaque file', async (t) => {
    const { cache, made, gz } = await start(t)
    const { status, headers, body } = await cache.get(gz, { 'accept-encoding': 'gzip' })
    assert.equal(status, 200)
    assert.equal(headers['content-encoding'], undefined)
    assert.equal(headers['accept-ranges'], 'bytes')
    assert.ok(body.equals(made.gzip!))
    assert.ok(gunzipSync(body).equals(made.nar))
  })

  test('under an old id gives the bytes of now to who starts and nothing to who resumes', async (t) => {
    const { cache, made } = await start(t)
    const old = `/nar/${made.tree}.0123abc.nar.gz`
    const { status, headers, body } = await cache.get(old)
    assert.equal(status, 200)
    assert.ok(body.equals(made.gzip!))
    assert.equal(headers['accept-ranges'], 'none')
    assert.equal((await cache.get(old, { range: 'bytes=100-' })).status, 404)
    const safe = await cache.get(old, { range: 'bytes=100-', 'if-range': headers.etag! })
    assert.equal(safe.status, 206)
    assert.ok(safe.body.equals(made.gzip!.subarray(100)))
    const changed = await cache.get(old, { range: 'bytes=100-', 'if-range': '"0123abc"' })
    assert.equal(changed.status, 200)
    assert.ok(changed.body.equals(made.gzip!))
  })

  test('is made on the fly when the store cannot splice it', async (t) => {
    const { cache, made, gz } = await start(t)
    made.gzip = undefined
    const { status, headers, body } = await cache.get(gz)
    assert.equal(status, 200)
    assert.equal(headers['content-length'], undefined)
    assert.equal(headers['transfer-encoding'], 'chunked')
    assert.equal(headers['accept-ranges'], 'none')
    assert.ok(gunzipSync(body).equals(made.nar))
    assert.equal((await cache.get(gz, { range: 'bytes=5-' })).status, 404)
    assert.equal((await cache.head(gz)).status, 200)
    assert.equal(cache.store.readers, 0)
  })
})
