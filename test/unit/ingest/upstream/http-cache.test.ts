/** A binary cache over HTTP that does as it should. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { createUpstreamSource } from '../../../../src/ingest/upstream/source.ts'
import { directory, file, makePackage } from '../../../support/packages.ts'
import { until } from '../../../support/process.ts'
import { cacheOf, type ServedFile, startUpstream } from '../../../support/upstream-server.ts'

const PACKAGE = makePackage('tool', directory({ data: file('some data\n'.repeat(50_000)) }))
const { info, nar } = PACKAGE
const NARINFO = `/${info.storePath.hash}.narinfo`

describe('a binary cache over HTTP', () => {
  it('costs one request a look-up, over few connections', async () => {
    await using server = await startUpstream(cacheOf(PACKAGE))
    const source = createUpstreamSource({ url: server.url, name: 'upstream' })
    const absent = Array.from({ length: 100 }, (_, i) => String(i).padStart(32, '0'))
    const found = await Promise.all(absent.map((hash) => source.pathInfo(hash)))
    assert.deepEqual(new Set(found), new Set([undefined]))
    assert.deepEqual(
      server.paths.sort(),
      ['/nix-cache-info', ...absent.map((hash) => `/${hash}.narinfo`)].sort(),
    )
    assert.ok(server.connections <= 8, `${server.connections}`)
    source.close()
  })

  it('may be below a path, and be moved by redirections', async () => {
    const files = Object.fromEntries(
      Object.entries(cacheOf(PACKAGE)).map(([path, served]) => [`/a/b${path}`, served]),
    )
    await using elsewhere = await startUpstream({ '/blob': { body: nar } })
    const headers = { Location: `${elsewhere.url}/blob` }
    await using server = await startUpstream({ ...files, '/a/b/nar/file': { status: 307, headers } })
    const source = createUpstreamSource({ url: `${server.url}/a/b`, name: 'upstream' })
    const found = await source.pathInfo(info.storePath)
    assert.ok(Buffer.concat(await Array.fromAsync(source.nar(found!))).equals(nar))
    source.close()
  })

  it('gets the password of its URL, and nobody else does', async () => {
    await using elsewhere = await startUpstream({ '/blob': { body: nar } })
    const headers = { Location: `${elsewhere.url}/blob` }
    await using server = await startUpstream({ ...cacheOf(PACKAGE), '/nar/file': { status: 302, headers } })
    const source = createUpstreamSource({ url: server.url.replace('//', '//me:p%40ss@'), name: 'upstream' })
    const found = await source.pathInfo(info.storePath)
    await Array.fromAsync(source.nar(found!))
    const expected = `Basic ${Buffer.from('me:p@ss').toString('base64')}`
    for (const request of server.requests) assert.equal(request.headers.authorization, expected)
    assert.equal(elsewhere.requests[0]?.headers.authorization, undefined)
    await assert.rejects(
      source.nar({ ...info, narSize: 1 }).next(),
      (error: Error) => !/ss/.test(error.message.replace('something', '')),
    )
    source.close()
  })

  it('may keep its narinfos encoded, and lack what it answers 403, 404 or 410 for', async () => {
    const files = cacheOf(PACKAGE)
    const body = (files[NARINFO] as ServedFile).body as string
    const codings = {
      gzip: gzipSync(body),
      'x-gzip': gzipSync(body),
      br: brotliCompressSync(body),
      zstd: zstdCompressSync(body),
      identity: Buffer.from(body),
    }
    await using server = await startUpstream(files)
    const source = createUpstreamSource({ url: server.url, name: 'upstream' })
    for (const [coding, bytes] of Object.entries(codings)) {
      files[NARINFO] = { body: bytes, headers: { 'Content-Encoding': coding } }
      assert.deepEqual((await source.pathInfo(info.storePath))?.narHash, info.narHash, coding)
    }
    for (const status of [403, 404, 410]) {
      files[NARINFO] = { status, body: 'x' }
      assert.equal(await source.pathInfo(info.storePath), undefined)
    }
    source.close()
  })

  it('may close connections that are kept, and be up again after it was down', async () => {
    const files = cacheOf(PACKAGE)
    files['/nix-cache-info'] = { status: 503 }
    await using server = await startUpstream(files)
    const source = createUpstreamSource({ url: server.url, name: 'upstream' })
    await assert.rejects(source.pathInfo(info.storePath), { code: 'ERR_UPSTREAM_STATUS' })
    files['/nix-cache-info'] = { body: '' }
    for (let i = 0; i < 5; i++) {
      assert.ok(await source.pathInfo(info.storePath))
      server.cut()
    }
    source.close()
  })

  it('is left when the signal fires, at any point', async () => {
    const files = cacheOf(PACKAGE)
    await using server = await startUpstream(files)
    const source = createUpstreamSource({ url: server.url, name: 'upstream' })
    for (const path of ['/nix-cache-info', NARINFO, '/nar/file']) {
      const before = files[path]!
      const controller = new AbortController()
      files[path] = (_request, response) => {
        response.write(nar.subarray(0, 10))
        setTimeout(() => controller.abort(), 20)
        return undefined
      }
      const { signal } = controller
      const reading = async () => {
        const found = await source.pathInfo(info.storePath, { signal })
        for await (const _ of source.nar(found!, { signal }));
      }
      await assert.rejects(reading(), { code: 'ERR_ABORTED' }, path)
      files[path] = before
      server.cut()
      // What others may be waiting for goes on without us, and fails now.
      await until(
        () => 'the cache',
        () => source.pathInfo(info.storePath).catch(() => undefined),
      )
    }
    assert.ok(await source.pathInfo(info.storePath))
    source.close()
  })
})
