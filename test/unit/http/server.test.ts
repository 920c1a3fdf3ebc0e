import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, test } from 'node:test'
import { createHttpServer } from '../../../src/http/server.ts'
import { silentLogger } from '../../../src/util/log.ts'
import { Cache, until } from '../../support/cache-server.ts'
import { MemoryStore } from '../../support/memory-store.ts'

function serverOn(host: string, port: number) {
  const settings = { host, port, priority: 30, wantMassQuery: true, maxTransfers: 8 }
  const store = new MemoryStore()
  return createHttpServer({ store, keys: [], settings, logger: silentLogger, version: '1' })
}

describe('listening', () => {
  test('localhost is reached under both loopback addresses on one port', async (t) => {
    const server = serverOn('localhost', 0)
    await server.start()
    t.after(() => server.stop())
    const { port } = server.address!
    assert.equal(server.url, `http://localhost:${port}`)
    assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200)
    const probe = createServer()
    probe.listen(0, '::1')
    const [event] = await Promise.race([
      once(probe, 'listening').then(() => ['listening']),
      once(probe, 'error').then(() => ['error']),
    ])
    probe.close()
    if (event === 'listening') assert.equal((await fetch(`http://[::1]:${port}/health`)).status, 200)
  })

  test('a wildcard address is shown as localhost, an IPv6 address in brackets', async (t) => {
    const server = serverOn('0.0.0.0', 0)
    await server.start()
    t.after(() => server.stop())
    assert.match(server.url, /^http:\/\/localhost:\d+$/)
    assert.equal(serverOn('::1', 80).url, 'http://[::1]:80')
    assert.equal(serverOn('[::1]', 80).url, 'http://[::1]:80')
  })

  test('an address in use is named with the way out, and nothing stays open', async (t) => {
    const first = serverOn('127.0.0.1', 0)
    await first.start()
    t.after(() => first.stop())
    const { port } = first.address!
    for (const host of ['127.0.0.1', 'localhost']) {
      const second = serverOn(host, port)
      await assert.rejects(second.start(), (error: Error & { code: string }) => {
        assert.equal(error.code, 'ERR_ADDRESS_IN_USE')
        assert.match(
          error.message,
          new RegExp(`${host}:${port}: another program .* choose another server.port`),
        )
        return true
      })
      assert.equal(second.address, undefined)
      await second.stop()
    }
  })

  test('an address that this machine has not is an error of its own', async () => {
    await assert.rejects(serverOn('203.0.113.1', 0).start(), { code: 'ERR_ADDRESS_UNKNOWN' })
    await assert.rejects(serverOn('no-such-host.invalid', 0).start(), { code: 'ERR_ADDRESS_UNKNOWN' })
  })

  test('starts again after a stop, and stops twice', async () => {
    const server = serverOn('127.0.0.1', 0)
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
    assert.equal(server.address, undefined)
    await server.start()
    assert.equal((await fetch(`${server.url}/health`)).status, 200)
    await server.stop()
  })
})

describe('stopping', () => {
  test('lets a running transfer end and takes no new connection', async (t) => {
    const cache = await Cache.start(t, { settings: { timeouts: { stop: 60_000 } } })
    const { tree, nar } = cache.store.put('a', { contents: Buffer.alloc(3_000_000, 7) })
    let goOn = () => {}
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    cache.store.transform = async function* (chunks) {
      for await (const chunk of chunks) {
        yield chunk
        await held
      }
    }
    const { port } = cache
    const transfer = cache.get(`/nar/${tree}.nar`)
    await until(() => cache.store.readers === 1)
    const stopping = cache.server.stop()
    await assert.rejects(fetch(`http://127.0.0.1:${port}/health`))
    goOn()
    assert.ok((await transfer).body.equals(nar))
    await stopping
    assert.equal(cache.store.readers, 0)
  })

  test('destroys what does not end in time, and releases its readers before it returns', async (t) => {
    const cache = await Cache.start(t, { settings: { timeouts: { stop: 50 } } })
    const { tree } = cache.store.put('a', { contents: Buffer.alloc(30_000_000) })
    const stalled = cache.connect()
    stalled.on('error', () => {})
    stalled.write(`GET /nar/${tree}.nar HTTP/1.1\r\nHost: a\r\n\r\n`)
    await until(() => cache.store.readers === 1)
    await cache.server.stop()
    assert.equal(cache.store.readers, 0)
    stalled.destroy()
  })

  test('closes connections that only wait, silent and half-open ones too', async (t) => {
    const cache = await Cache.start(t, { settings: { timeouts: { stop: 50 } } })
    const sockets = [cache.connect(), cache.connect(), cache.connect()]
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    sockets[1]!.write('GET /hea')
    sockets[2]!.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(sockets[2]!, 'data')
    const closed = sockets.map((socket) => {
      socket.on('error', () => {})
      socket.resume()
      return once(socket, 'close')
    })
    await cache.server.stop()
    await Promise.all(closed)
  })
})
