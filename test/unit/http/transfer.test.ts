import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Cache, recordingLogger, until } from '../../support/cache-server.ts'

const CONTENTS = Buffer.alloc(8_000_000, 'gachix')

describe('a body that fails', () => {
  const ways: [string, (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>, RegExp][] = [
    [
      'by an error in its middle',
      async function* (chunks) {
        let count = 0
        for await (const chunk of chunks) {
          if (count++ === 5) throw new Error('read error')
          yield chunk
        }
      },
      /read error/,
    ],
    [
      'by ending early',
      async function* (chunks) {
        let count = 0
        for await (const chunk of chunks) if (count++ < 5) yield chunk
      },
      /bytes where \d+ were promised/,
    ],
    [
      'by being too long',
      async function* (chunks) {
        yield* chunks
        yield Buffer.alloc(1)
      },
      /bytes or more where \d+ were promised/,
    ],
  ]
  for (const [way, transform, message] of ways) {
    test(`${way} destroys the socket`, async (t) => {
      const { logger, lines } = recordingLogger()
      const cache = await Cache.start(t, { logger })
      const { tree } = cache.store.put('a', { contents: CONTENTS })
      cache.store.transform = transform
      await assert.rejects(cache.get(`/nar/${tree}.nar`), { code: 'ECONNRESET' })
      await until(() => cache.store.readers === 0)
      assert.ok(lines.some((line) => line.level === 'error' && message.test(line.message)))
    })
  }

  test('destroys the socket of a chunked answer too, instead of ending it cleanly', async (t) => {
    const cache = await Cache.start(t)
    const { tree } = cache.store.put('a', { contents: CONTENTS, gzip: false })
    for (const [, transform] of ways) {
      cache.store.transform = transform
      await assert.rejects(cache.get(`/nar/${tree}.abc.nar.gz`), { code: 'ECONNRESET' })
      await until(() => cache.store.readers === 0)
    }
  })

  test('before its first byte is a 404', async (t) => {
    const cache = await Cache.start(t)
    const { tree } = cache.store.put('a', { gzip: false })
    const broken: ((chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>)[] = [
      // biome-ignore lint/correctness/useYield: it fails before it could
      async function* () {
        throw new Error('read error')
      },
      async function* () {},
    ]
    for (const transform of broken) {
      cache.store.transform = transform
      assert.equal((await cache.get(`/nar/${tree}.nar`)).status, 404)
      assert.equal((await cache.get(`/nar/${tree}.abc.nar.gz`)).status, 404)
      assert.equal(cache.store.readers, 0)
    }
  })
})

describe('a client that leaves', () => {
  test('while it does not read has its reader released', async (t) => {
    const cache = await Cache.start(t)
    const { tree } = cache.store.put('a', { contents: Buffer.alloc(30_000_000) })
    const socket = cache.connect()
    socket.write(`GET /nar/${tree}.nar HTTP/1.1\r\nHost: a\r\n\r\n`)
    await once(socket, 'readable')
    await until(() => cache.store.readers === 1)
    socket.destroy()
    await until(() => cache.store.readers === 0)
    assert.equal(cache.store.signals[0]?.aborted, true)
  })

  test('while the store is slow has the read aborted', async (t) => {
    const cache = await Cache.start(t)
    const { tree } = cache.store.put('a', { contents: CONTENTS })
    cache.store.transform = async function* (chunks, signal) {
      for await (const chunk of chunks) {
        yield chunk
        await new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)))
      }
    }
    const socket = cache.connect()
    socket.write(`GET /nar/${tree}.nar HTTP/1.1\r\nHost: a\r\n\r\n`)
    await once(socket, 'data')
    socket.destroy()
    await until(() => cache.store.readers === 0)
  })

  test('takes the requests that wait behind the first with it', async (t) => {
    const cache = await Cache.start(t)
    const { tree } = cache.store.put('a', { contents: Buffer.alloc(30_000_000) })
    const socket = cache.connect()
    socket.write(`GET /nar/${tree}.nar HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(3))
    await until(() => cache.store.readers >= 2)
    socket.destroy()
    await until(() => cache.store.readers === 0)
    assert.equal((await cache.get('/health')).status, 200)
  })

  test('does not harm others, and leaves nothing on its connection', async (t) => {
    const cache = await Cache.start(t)
    const { tree, nar } = cache.store.put('a', { contents: CONTENTS })
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    const request = `GET /nar/${tree}.nar HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n`
    const last = request.replace('Host: a', 'Host: a\r\nConnection: close')
    const text = await cache.raw(request.repeat(40) + last)
    assert.equal(text.split('206 Partial Content').length, 42)
    assert.ok((await cache.get(`/nar/${tree}.nar`)).body.equals(nar))
    process.off('warning', onWarning)
    assert.deepEqual(warnings, [])
    assert.equal(cache.store.readers, 0)
  })
})

describe('too many transfers', () => {
  test('are refused with 503 until one has ended', async (t) => {
    const cache = await Cache.start(t, { settings: { maxTransfers: 2 } })
    const { tree, hash } = cache.store.put('a', { contents: Buffer.alloc(30_000_000) })
    const path = `/nar/${tree}.nar`
    const sockets = [cache.connect(), cache.connect()]
    for (const socket of sockets) socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    await until(() => cache.store.readers === 2)
    for (const busy of [path, `/${hash}.ls`]) {
      const { status, headers } = await cache.get(busy)
      assert.equal(status, 503, busy)
      assert.match(headers['retry-after']!, /^\d+$/)
    }
    assert.equal((await cache.head(path)).status, 200)
    assert.equal((await cache.get(`/${hash}.narinfo`)).status, 200)
    sockets[0]!.destroy()
    await until(() => cache.store.readers === 1)
    assert.equal((await cache.get(path, { range: 'bytes=0-9' })).status, 206)
    sockets[1]!.destroy()
  })

  test('count a body that is written but not read', async (t) => {
    const cache = await Cache.start(t, { settings: { maxTransfers: 1 } })
    // More than the system's socket buffers take, in one chunk: it waits in our memory after the reader has ended.
    const { tree } = cache.store.put('a', { contents: Buffer.alloc(30_000_000) })
    cache.store.transform = async function* (chunks) {
      const all: Uint8Array[] = []
      for await (const chunk of chunks) all.push(chunk)
      yield Buffer.concat(all)
    }
    const socket = cache.connect()
    socket.write(`GET /nar/${tree}.nar HTTP/1.1\r\nHost: a\r\n\r\n`)
    await once(socket, 'readable')
    assert.equal((await cache.get(`/nar/${tree}.nar`)).status, 503)
    socket.destroy()
    await until(() => cache.store.readers === 0)
  })
})
