import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SecretKey } from '../../../src/nix/signature.ts'
import { Cache, recordingLogger } from '../../support/cache-server.ts'

const ABSENT = '0'.repeat(32)

describe('every answer', () => {
  test('has the right status and type, and HEAD is like GET without a body', async (t) => {
    const cache = await Cache.start(t)
    const { hash, tree, nar } = cache.store.put('a')
    const { id } = (await cache.store.package(hash))!.gzip!
    const cases: [path: string, status: number, type: string, headers?: Record<string, string>][] = [
      ['/', 200, 'text/html; charset=utf-8'],
      ['/health', 200, 'application/json'],
      ['/nix-cache-info', 200, 'text/x-nix-cache-info'],
      [`/${hash}.narinfo`, 200, 'text/x-nix-narinfo'],
      [`/${hash}.ls`, 200, 'application/json'],
      [`/nar/${tree}.nar`, 200, 'application/x-nix-nar'],
      [`/nar/${tree}.nar`, 200, 'application/x-nix-nar', { 'accept-encoding': 'gzip' }],
      [`/nar/${tree}.${id}.nar.gz`, 200, 'application/x-nix-nar'],
      [`/nar/${tree}.0.nar.gz`, 200, 'application/x-nix-nar'],
      [`/${ABSENT}.narinfo`, 404, 'text/plain; charset=utf-8'],
      [`/${ABSENT}.ls`, 404, 'text/plain; charset=utf-8'],
      [`/nar/${'0'.repeat(40)}.nar`, 404, 'text/plain; charset=utf-8'],
      [`/nar/${'0'.repeat(40)}.1.nar.gz`, 404, 'text/plain; charset=utf-8'],
      ['/favicon.ico', 404, 'text/plain; charset=utf-8'],
      ['/log/x.drv', 404, 'text/plain; charset=utf-8'],
      ['/x.narinfo', 400, 'text/plain; charset=utf-8'],
      ['/nar/x.nar', 400, 'text/plain; charset=utf-8'],
      ['/%zz', 400, 'text/plain; charset=utf-8'],
    ]
    for (const [path, status, type, headers] of cases) {
      const get = await cache.get(path, headers)
      const head = await cache.head(path, headers)
      assert.deepEqual([get.status, get.headers['content-type']], [status, type], path)
      assert.equal(Number(get.headers['content-length']), get.body.length, path)
      delete get.headers.date
      delete head.headers.date
      assert.deepEqual([head.status, head.headers], [get.status, get.headers], path)
      assert.equal(head.body.length, 0)
    }
    assert.equal(cache.store.readers, 0)
    assert.ok(nar.length > 0)
  })

  test('is consistent also when the gzip NAR is made on the fly', async (t) => {
    const cache = await Cache.start(t)
    const { tree } = cache.store.put('a', { gzip: false })
    const path = `/nar/${tree}.abc.nar.gz`
    const [get, head] = [await cache.get(path), await cache.head(path)]
    assert.deepEqual([get.status, head.status], [200, 200])
    // RFC 9110, section 8.6: HEAD may leave out what only GET's body needs.
    const { date: _, 'transfer-encoding': __, ...fields } = get.headers
    delete head.headers.date
    assert.deepEqual(head.headers, fields)
  })
})

test('nix-cache-info says what is configured', async (t) => {
  const one = await Cache.start(t)
  assert.equal(
    (await one.get('/nix-cache-info')).body.toString(),
    'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n',
  )
  const two = await Cache.start(t, { settings: { priority: 50, wantMassQuery: false } })
  assert.equal(
    (await two.get('/nix-cache-info')).body.toString(),
    'StoreDir: /nix/store\nWantMassQuery: 0\nPriority: 50\n',
  )
})

test('only GET and HEAD are allowed', async (t) => {
  const cache = await Cache.start(t)
  for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND']) {
    for (const path of ['/nix-cache-info', '/', '/x', '/%zz', `/nar/${'0'.repeat(40)}.nar`]) {
      const reply = await cache.request(method, path)
      assert.deepEqual([reply.status, reply.headers.allow], [405, 'GET, HEAD'], `${method} ${path}`)
    }
  }
})

test('an upload is refused before its body is sent', async (t) => {
  const cache = await Cache.start(t)
  const reply = await cache.raw(
    'PUT /nix-cache-info HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n',
  )
  assert.match(reply, /^HTTP\/1\.1 405 /)
  assert.match(reply, /\r\nConnection: close\r\n/)
})

test('the connection goes on after a refused upload that was sent', async (t) => {
  const cache = await Cache.start(t)
  const reply = await cache.raw(
    `PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello` +
      'GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  )
  assert.match(reply, /^HTTP\/1\.1 405 [\s\S]*HTTP\/1\.1 200 OK[\s\S]*"status":"ok"/)
})

test('If-None-Match is answered with 304', async (t) => {
  const cache = await Cache.start(t)
  const { hash, tree } = cache.store.put('a')
  const { id } = (await cache.store.package(hash))!.gzip!
  for (const path of [`/${hash}.narinfo`, `/nar/${tree}.nar`, `/nar/${tree}.${id}.nar.gz`]) {
    const { etag } = (await cache.get(path)).headers
    assert.ok(etag)
    const again = await cache.get(path, { 'if-none-match': `"x", ${etag}` })
    assert.deepEqual([again.status, again.body.length, again.headers.etag], [304, 0, etag], path)
    assert.equal((await cache.get(path, { 'if-none-match': '"x"' })).status, 200)
  }
})

test('a narinfo that is in memory is answered like one that is read', async (t) => {
  const { logger, lines } = recordingLogger()
  const cache = await Cache.start(t, { logger })
  const { hash } = cache.store.put('a')
  const path = `/${hash}.narinfo`
  const read = await cache.get(path)
  cache.store.fault = new Error('nothing is read for this')
  const known = await cache.get(path)
  for (const { headers } of [read, known]) delete headers.date
  assert.deepEqual(known, read)
  assert.equal(lines.filter(({ message }) => message === 'request').length, 2)

  const etag = String(read.headers.etag)
  assert.equal((await cache.get(path, { 'if-none-match': etag })).status, 304)
  assert.equal((await cache.get(path, { 'if-none-match': '"other"' })).body.toString(), read.body.toString())
  assert.equal((await cache.head(path)).body.length, 0)
  const requests = [`GET /${ABSENT}.narinfo`, `GET ${path}`, 'GET /nix-cache-info', `GET ${path}`]
  const answers = await cache.raw(
    `${requests.map((line) => `${line} HTTP/1.1\r\nHost: x\r\n\r\n`).join('')}GET ${path} HTTP/1.0\r\n\r\n`,
  )
  const bodies = answers.split(/HTTP\/1\.1 \d+ [\s\S]*?\r\n\r\n/).slice(1)
  const text = read.body.toString()
  assert.deepEqual(bodies.toSpliced(2, 1), ['no such package here\n', text, text, text])

  cache.store.remove(hash)
  assert.equal((await cache.get(path)).status, 404)
})

test('health tells version and number of packages', async (t) => {
  const cache = await Cache.start(t)
  cache.store.put('a')
  assert.deepEqual(JSON.parse((await cache.get('/health')).body.toString()), {
    status: 'ok',
    version: '1.2.3',
    packages: 1,
  })
})

test('the landing page shows key, URL and the two lines for nix.conf', async (t) => {
  const key = new SecretKey('node-1', new Uint8Array(32).fill(1))
  const cache = await Cache.start(t, { keys: [key] })
  cache.store.put('a')
  const page = (await cache.get('/', { host: 'cache.example:8080' })).body.toString()
  assert.match(page, /substituters = http:\/\/cache\.example:8080\n/)
  assert.ok(page.includes(`trusted-public-keys = ${key.publicKey}<`))
  assert.match(page, /<dt>Packages<\/dt><dd>1<\/dd>/)
  assert.match(page, /nix copy --from http:\/\/cache\.example:8080 \/nix\/store\/&lt;hash&gt;-&lt;name&gt;/)
  assert.doesNotMatch(page, /<script|https?:\/\/(?!cache\.example)/)
  const secure = await cache.get('/', { host: 'cache.example', 'x-forwarded-proto': 'https' })
  assert.match(secure.body.toString(), /substituters = https:\/\/cache\.example\n/)
})

test('the landing page of a node without keys names none', async (t) => {
  const page = (await (await Cache.start(t)).get('/')).body.toString()
  assert.doesNotMatch(page, /trusted-public-keys/)
  assert.match(page, /signs nothing itself/)
})

test('a package that cannot be read is not here, and the log says so', async (t) => {
  const { logger, lines } = recordingLogger()
  const cache = await Cache.start(t, { logger })
  const { hash, tree } = cache.store.put('a')
  cache.store.fault = new Error('the pack is damaged')
  const paths = [`/${hash}.narinfo`, `/${hash}.ls`, `/nar/${tree}.nar`, `/nar/${tree}.1.nar.gz`]
  for (const path of paths) {
    lines.length = 0
    assert.equal((await cache.get(path)).status, 404, path)
    assert.ok(
      lines.some(({ level, message }) => level === 'error' && message.includes('the pack is damaged')),
      path,
    )
    assert.equal((await cache.head(path)).status, 404, path)
  }
  cache.store.fault = undefined
  assert.equal((await cache.get(`/${hash}.narinfo`)).status, 200)
})

test('requests are logged at debug level', async (t) => {
  const { logger, lines } = recordingLogger()
  const cache = await Cache.start(t, { logger })
  await cache.get('/health')
  assert.deepEqual(
    lines.map(({ level, message }) => [level, message.slice(0, 10)]),
    [
      ['info', 'serving at'],
      ['debug', 'request'],
    ],
  )
})
