/** Hostile requests to the cache: what a browser, a log or another client could be made to believe, and what could be held. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { escapeHtml, html } from '../../src/http/html.ts'
import { publicUrl } from '../../src/http/public-url.ts'
import { Cache, recordingLogger, until } from '../support/cache-server.ts'

describe('markup', () => {
  const XSS = '"><script>alert(1)</script>'

  test('in the Host header does not reach the page', async (t) => {
    const cache = await Cache.start(t)
    const own = cache.server.url
    for (const host of [
      XSS,
      'a"onmouseover="x',
      "a';x",
      'a b',
      'a/b',
      'a?b',
      'a#b',
      'a@b',
      'user:pw@b',
      'a:99999999',
      'a:b',
      ':80',
      '[::1',
      '[::1]x',
      '$(x)',
      '`x`',
      'a\\b',
      'a&b',
      'a;b',
      '-option',
      '.',
      'x'.repeat(300),
      'aé',
    ]) {
      const page = (await cache.raw(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`)).toString()
      assert.ok(page.includes(`substituters = ${own}<`), host)
      assert.doesNotMatch(page, /<script|onmouseover/)
    }
  })

  test('good hosts are shown', () => {
    const url = (host: string) => publicUrl({ headers: { host } } as never, 'own')
    for (const host of ['a', 'a.b-c_d.e:80', 'localhost:8080', '10.0.0.1:1', '[::1]:8080', '[fe80::1]']) {
      assert.equal(url(host), `http://${host}`)
    }
    for (const proto of ['javascript', 'https, http', 'HTTPS', 'https"']) {
      const headers = { host: 'a', 'x-forwarded-proto': proto }
      assert.equal(publicUrl({ headers } as never, 'own'), 'http://a')
    }
    assert.equal(publicUrl({ headers: {} } as never, 'own'), 'own')
  })

  test('in a path is never sent back, and nothing else is of what was sent', async (t) => {
    const cache = await Cache.start(t)
    for (const path of [
      '/%3Cscript%3Ealert(1)%3C%2Fscript%3E',
      '/%3Cscript%3E.narinfo',
      '/nar/%3Cscript%3E.nar',
      '/?%3Cscript%3E',
      '/health?<script>',
    ]) {
      const { body, headers } = await cache.get(path, { 'x-secret': 'script-of-header' })
      assert.doesNotMatch(body.toString(), /script/i, path)
      assert.doesNotMatch(JSON.stringify(headers).replace('default-src', ''), /script/i)
    }
  })

  test('the page may load and run nothing', async (t) => {
    const { headers, body } = await (await Cache.start(t)).get('/')
    const policy = headers['content-security-policy'] as string
    assert.match(policy, /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; base-uri 'none'/)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.doesNotMatch(body.toString(), /<script|<img|<link|url\(|style="/)
  })

  test('escaping leaves no special character, and the template never forgets it', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', 'a') }), (text) => {
        assert.doesNotMatch(escapeHtml(text), /[<>"']|&(?!(amp|lt|gt|quot|#39);)/)
        assert.equal(
          html`<p title="${text}">${text}</p>`.text.match(/[<>"]/g)?.join(''),
          '<""></>'.replace('/', ''),
        )
      }),
    )
  })
})

describe('bytes that are no proper request', () => {
  test('a response cannot be split', async (t) => {
    const cache = await Cache.start(t)
    for (const path of [
      '/%0d%0aSet-Cookie:%20a=b',
      '/%0d%0a%0d%0a<html>',
      '/nar/%0d%0aX:1.nar',
      '/%00.narinfo',
    ]) {
      const text = await cache.raw(`GET ${path} HTTP/1.0\r\n\r\n`)
      assert.match(text, /^HTTP\/1\.1 40[04] /)
      assert.doesNotMatch(text, /Set-Cookie|<html>|X:1/)
    }
  })

  test('are answered with 400 or 431 and the end of the connection', async (t) => {
    const cache = await Cache.start(t)
    const cases: [string, RegExp][] = [
      ['hello\r\n\r\n', /^HTTP\/1\.1 400 /],
      ['GET / HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
      [
        'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
        /^HTTP\/1\.1 400 /,
      ],
      ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', /^HTTP\/1\.1 400 /],
      [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
      [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, /^HTTP\/1\.1 431 /],
    ]
    for (const [text, expected] of cases) assert.match(await cache.raw(text), expected)
    assert.equal((await cache.get('/health')).status, 200)
  })

  test('whatever headers come, the answer is one of ours and the next request works', async (t) => {
    const { logger, lines } = recordingLogger()
    const cache = await Cache.start(t, { logger })
    const { tree, hash } = cache.store.put('a', { contents: Buffer.alloc(1000) })
    const value = fc.oneof(
      fc.stringMatching(/^[\x21-\x7e]([\x20-\x7e]{0,40}[\x21-\x7e])?$/),
      fc.constantFrom(
        'bytes=0-',
        'bytes=-1',
        'bytes=5-1',
        'gzip',
        'gzip;q=0',
        '*',
        '"x"',
        'W/"x"',
        ',',
        ';',
        '=',
        '',
      ),
    )
    const headers = fc.dictionary(
      fc.constantFrom(
        'range',
        'if-range',
        'if-none-match',
        'accept-encoding',
        'x-forwarded-proto',
        'accept',
        'cookie',
      ),
      value,
    )
    const path = fc.constantFrom(
      `/nar/${tree}.nar`,
      `/nar/${tree}.1.nar.gz`,
      `/${hash}.narinfo`,
      `/${hash}.ls`,
      '/',
    )
    await fc.assert(
      fc.asyncProperty(path, headers, async (target, fields) => {
        const { status } = await cache.get(target, fields)
        assert.ok([200, 206, 304, 404, 416].includes(status), `${status}`)
      }),
      { numRuns: 150 },
    )
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error'),
      [],
    )
    assert.equal(cache.store.readers, 0)
  })
})

describe('clients that hold on', () => {
  test('headers that never end are cut off', async (t) => {
    const cache = await Cache.start(t, { settings: { timeouts: { headers: 100, request: 100 } } })
    const socket = cache.connect()
    socket.write('GET /health HTTP/1.1\r\nHost: a\r\n')
    const drip = setInterval(() => socket.write('X: y\r\n'), 20)
    socket.on('error', () => {})
    socket.resume()
    await once(socket, 'close')
    clearInterval(drip)
  })

  test('a reader that stalls is cut off, and its transfer freed', async (t) => {
    const cache = await Cache.start(t, { settings: { timeouts: { idle: 200 } } })
    const { tree } = cache.store.put('a', { contents: Buffer.alloc(30_000_000) })
    const socket = cache.connect()
    socket.on('error', () => {})
    socket.write(`GET /nar/${tree}.nar HTTP/1.1\r\nHost: a\r\n\r\n`)
    await until(() => cache.store.readers === 1)
    await until(() => cache.store.readers === 0)
    socket.destroy()
  })

  test('a slow reader that moves is not', async (t) => {
    const cache = await Cache.start(t, { settings: { timeouts: { idle: 1_500 } } })
    const { tree, nar } = cache.store.put('a', { contents: Buffer.alloc(12_000_000, 1) })
    const socket = cache.connect()
    socket.write(`GET /nar/${tree}.nar HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    let size = 0
    for await (const chunk of socket) {
      size += chunk.length
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    assert.ok(size > nar.length)
  })

  test('a connection without requests is closed', async (t) => {
    const cache = await Cache.start(t, { settings: { timeouts: { keepAlive: 50 } } })
    const socket = cache.connect()
    socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n')
    socket.resume()
    await once(socket, 'close')
  })
})
