/** Binary caches that are down, slow, broken or lie: each a named error within a bound, and nothing without an end. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import { describe, test } from 'node:test'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { createUpstreamSource, type UpstreamSource } from '../../src/ingest/upstream/source.ts'
import type { NarInfo } from '../../src/nix/narinfo.ts'
import { StorePath } from '../../src/nix/store-path.ts'
import { errorCode } from '../../src/util/errors.ts'
import { directory, file, makePackage } from '../support/packages.ts'
import { freePort, run } from '../support/process.ts'
import { type Answer, cacheOf, cutting, type ServedFile, startUpstream } from '../support/upstream-server.ts'

const PACKAGE = makePackage('tool', directory({ data: file('some data\n'.repeat(50_000)) }))
const { info, nar } = PACKAGE
const OTHER = makePackage('other', file('x'))
const QUICK = { connect: 300, head: 300, stall: 300, slow: 600, read: 1000 }
const NARINFO = `/${info.storePath.hash}.narinfo`

function source(url: string): UpstreamSource {
  return createUpstreamSource({ url, name: 'cache.example', timeouts: QUICK })
}

async function readNar(from: UpstreamSource): Promise<Buffer> {
  const found = await from.pathInfo(info.storePath)
  assert.ok(found !== undefined, 'the cache has it')
  return Buffer.concat(await Array.fromAsync(from.nar(found)))
}

/** The code of the error that reading the package from such a cache ends in; its message names the cache. */
async function refusal(files: Record<string, ServedFile | Answer>): Promise<string> {
  await using server = await startUpstream(files)
  const from = source(server.url)
  try {
    await readNar(from)
  } catch (error) {
    assert.match(String(error), /cache\.example: /)
    return errorCode(error)
  } finally {
    from.close()
  }
  assert.fail('nothing was refused')
}

/** Writes for ever. */
function endless(piece: Uint8Array): Answer {
  return (_request, response) => {
    const write = () => {
      while (!response.destroyed && response.write(piece));
      response.once('drain', write)
    }
    write()
    return undefined
  }
}

describe('a cache that does not answer as it should', () => {
  test('is down', async () => {
    const from = source(`http://127.0.0.1:${await freePort()}`)
    await assert.rejects(from.pathInfo(info.storePath), {
      code: 'ERR_UPSTREAM_UNREACHABLE',
      message: /ECONNREFUSED/,
    })
    const nameless = source('http://cache.invalid')
    await assert.rejects(nameless.pathInfo(info.storePath), { code: 'ERR_UPSTREAM_UNREACHABLE' })
  })

  test('takes the connection and says nothing', async () => {
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    for (const scheme of ['http', 'https']) {
      const from = source(`${scheme}://127.0.0.1:${port}`)
      await assert.rejects(from.pathInfo(info.storePath), { code: 'ERR_UPSTREAM_TIMEOUT' })
      from.close()
    }
    silent.close()
  })

  test('falls silent, or trickles', async () => {
    const begins: Answer = (_request, response) => void response.write(nar.subarray(0, 1000))
    assert.equal(await refusal({ ...cacheOf(PACKAGE), '/nar/file': begins }), 'ERR_UPSTREAM_TIMEOUT')
    const trickles: Answer = (_request, response) => {
      const timer = setInterval(() => response.write('x'), 50)
      response.on('close', () => clearInterval(timer))
      return undefined
    }
    assert.equal(await refusal({ ...cacheOf(PACKAGE), '/nar/file': trickles }), 'ERR_UPSTREAM_TIMEOUT')
    assert.equal(await refusal({ ...cacheOf(PACKAGE), [NARINFO]: trickles }), 'ERR_UPSTREAM_TIMEOUT')
  })

  test('fails by its status', async () => {
    for (const status of [500, 502, 503, 429, 401, 407, 204, 206, 304]) {
      assert.equal(await refusal({ ...cacheOf(PACKAGE), [NARINFO]: { status } }), 'ERR_UPSTREAM_STATUS')
    }
    assert.equal(
      await refusal({ ...cacheOf(PACKAGE), '/nix-cache-info': { status: 500 } }),
      'ERR_UPSTREAM_STATUS',
    )
    assert.equal(await refusal({ ...cacheOf(PACKAGE), '/nar/file': { status: 500 } }), 'ERR_UPSTREAM_STATUS')
    assert.equal(await refusal({ ...cacheOf(PACKAGE), '/nar/file': { status: 404 } }), 'ERR_UPSTREAM_MISSING')
  })

  test('is no binary cache, or one of another store', async () => {
    const says = (nixCacheInfo: ServedFile) =>
      refusal({ ...cacheOf(PACKAGE), '/nix-cache-info': nixCacheInfo })
    assert.equal(await says({ status: 404 }), 'ERR_UPSTREAM_INVALID')
    assert.equal(await says({ body: 'StoreDir: /gnu/store\n' }), 'ERR_UPSTREAM_INVALID')
    assert.equal(await says({ body: 'Priority: high\n' }), 'ERR_UPSTREAM_INVALID')
    assert.equal(await says({ body: 'x'.repeat(100_000) }), 'ERR_UPSTREAM_INVALID')
  })

  test('redirects for ever, or to where nobody may go', async () => {
    const to = (Location: string) => ({
      ...cacheOf(PACKAGE),
      '/nar/file': { status: 302, headers: { Location } },
    })
    assert.equal(await refusal(to('/nar/file')), 'ERR_UPSTREAM_INVALID')
    assert.equal(await refusal(to('file:///etc/passwd')), 'ERR_UPSTREAM_INVALID')
    assert.equal(await refusal(to('http://user:pw@127.0.0.1/')), 'ERR_UPSTREAM_INVALID')
    assert.equal(await refusal(to('http://')), 'ERR_UPSTREAM_INVALID')
  })
})

describe('a narinfo that lies', () => {
  const lies = (narInfo: Partial<NarInfo>) => refusal(cacheOf(PACKAGE, { narInfo }))

  test('about the path', async () => {
    assert.equal(await lies({ storePath: OTHER.info.storePath }), 'ERR_UPSTREAM_INVALID')
    assert.equal(
      await lies({ storePath: new StorePath(info.storePath.hash, 'tool', '/other/store') }),
      'ERR_UPSTREAM_INVALID',
    )
  })

  test('about where the NAR is, leads nowhere', async () => {
    await using elsewhere = await startUpstream({})
    const urls = [
      'file:///etc/passwd',
      `${elsewhere.url}/nar/x`,
      `//${elsewhere.url.slice(7)}/nar/x`,
      'http://',
    ]
    for (const url of urls) assert.equal(await lies({ url }), 'ERR_UPSTREAM_INVALID')
    assert.deepEqual(elsewhere.paths, [])
  })

  test('about the NAR', async () => {
    const narHash = { algorithm: 'sha256', digest: createHash('sha256').update('x').digest() } as const
    assert.equal(await lies({ narSize: nar.length - 1 }), 'ERR_UPSTREAM_NAR')
    assert.equal(await lies({ narSize: nar.length + 1 }), 'ERR_UPSTREAM_NAR')
    assert.equal(await lies({ fileHash: narHash }), 'ERR_UPSTREAM_NAR')
    assert.equal(await lies({ fileSize: nar.length + 1 }), 'ERR_UPSTREAM_NAR')
    assert.equal(await lies({ fileSize: nar.length - 1 }), 'ERR_UPSTREAM_INVALID')
    assert.equal(await lies({ fileSize: 2 ** 40 }), 'ERR_UPSTREAM_NAR')
    for (const compression of ['gzip', 'zstd', 'br', 'xz', 'bzip2']) {
      assert.equal(await lies({ compression }), 'ERR_UPSTREAM_NAR', compression)
    }
    assert.equal(await lies({ compression: 'lzop' }), 'ERR_UPSTREAM_INVALID')
  })

  test('between asking for it and for its NAR', async () => {
    const cache = cacheOf(PACKAGE)
    await using server = await startUpstream(cache)
    const from = source(server.url)
    cache[NARINFO] = cacheOf(PACKAGE, { narInfo: { narSize: 1 } })[NARINFO]!
    await assert.rejects(Array.fromAsync(from.nar(info)), { code: 'ERR_UPSTREAM_INVALID' })
    from.close()
  })

  test('by being no narinfo', async () => {
    const says = (answer: ServedFile | Answer) => refusal({ ...cacheOf(PACKAGE), [NARINFO]: answer })
    for (const body of ['', 'x', '<html></html>\n', Buffer.from([0xff, 0xfe])]) {
      assert.equal(await says({ body }), 'ERR_UPSTREAM_INVALID')
    }
    assert.equal(await says(endless(Buffer.from('Unknown: x\n'.repeat(1000)))), 'ERR_UPSTREAM_INVALID')
    assert.equal(await says({ body: 'x', headers: { 'Content-Encoding': 'gzip' } }), 'ERR_UPSTREAM_INVALID')
    assert.equal(await says({ body: 'x', headers: { 'Content-Encoding': 'lzma' } }), 'ERR_UPSTREAM_INVALID')
    const bomb = gzipSync(Buffer.alloc(64 << 20))
    assert.equal(await says({ body: bomb, headers: { 'Content-Encoding': 'gzip' } }), 'ERR_UPSTREAM_INVALID')
  })
})

describe('a NAR that is a bomb ends where its narinfo says', () => {
  const zeros = Buffer.alloc(64 << 20)
  const compress: Record<string, () => Buffer | Promise<Buffer>> = {
    gzip: () => gzipSync(zeros),
    br: () => brotliCompressSync(zeros, { params: { 1: 5 } }),
    zstd: () => zstdCompressSync(zeros),
    xz: () => run('xz', ['-0', '-c'], { input: zeros }),
    bzip2: () => run('bzip2', ['-c'], { input: zeros }),
  }
  for (const [compression, make] of Object.entries(compress)) {
    test(compression, async () => {
      const bomb = await make()
      const rss = process.memoryUsage.rss()
      assert.equal(
        await refusal(cacheOf(PACKAGE, { narInfo: { compression }, file: bomb })),
        'ERR_UPSTREAM_NAR',
      )
      assert.ok(process.memoryUsage.rss() - rss < 100 << 20)
    })
  }

  test('also one that decodes to nothing', async () => {
    const skippable = Buffer.concat([Buffer.from('502a4d18ff0f0000', 'hex'), Buffer.alloc(0xfff)])
    const files = {
      ...cacheOf(PACKAGE, { narInfo: { compression: 'zstd' } }),
      '/nar/file': endless(skippable),
    }
    assert.equal(await refusal(files), 'ERR_UPSTREAM_INVALID')
  })
})

describe('a NAR that breaks off', () => {
  const serve = (options: Parameters<typeof cutting>[1]) => ({
    ...cacheOf(PACKAGE),
    '/nar/file': cutting(nar, options),
  })

  test('twice is taken up where it was', async () => {
    await using server = await startUpstream(serve({ cuts: 2, after: 100_000 }))
    const from = source(server.url)
    assert.ok((await readNar(from)).equals(nar))
    const ranges = server.requests
      .filter(({ url }) => url === '/nar/file')
      .map(({ headers }) => headers.range)
    assert.equal(ranges.length, 3)
    for (const range of ranges.slice(1)) assert.match(range ?? '', /^bytes=[1-9]\d*-$/)
    from.close()
  })

  test('again and again is given up', async () => {
    assert.equal(await refusal(serve({ cuts: 3, after: 1000 })), 'ERR_UPSTREAM_UNREACHABLE')
  })

  test('and has changed meanwhile is given up', async () => {
    let version = 0
    const files = serve({ cuts: 1, after: 1000, etag: () => `"${version++}"` })
    assert.equal(await refusal(files), 'ERR_UPSTREAM_UNREACHABLE')
  })

  test('on a server without ranges is given up', async () => {
    const cuts: Answer = (_request, response) => {
      response.writeHead(200, { 'Content-Length': nar.length })
      response.write(nar.subarray(0, 1000), () => response.destroy())
      return undefined
    }
    assert.equal(await refusal({ ...cacheOf(PACKAGE), '/nar/file': cuts }), 'ERR_UPSTREAM_UNREACHABLE')
  })
})
