import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DaemonClient } from '../../../../src/ingest/daemon/client.ts'
import { DaemonError, DaemonUnavailableError } from '../../../../src/ingest/daemon/errors.ts'
import { DaemonPool } from '../../../../src/ingest/daemon/pool.ts'
import { AbortedError } from '../../../../src/util/errors.ts'
import { type DaemonPeer, daemonPeer, errorRecord, LAST, u64 } from '../../../support/daemon-peer.ts'

/** Says yes to every question; hangs up at `/hang-up`, refuses `/refuse`. */
async function obliging(peer: DaemonPeer): Promise<void> {
  await peer.greet(34)
  for (;;) {
    const [, path] = await peer.operation()
    if (path === '/hang-up') return void peer.stream.end()
    if (path === '/refuse') peer.send(errorRecord('refused'))
    else peer.send(LAST, u64(1))
  }
}

function poolOf(
  script: (peer: DaemonPeer, connection: number) => Promise<void>,
  size = 2,
  keepAlive = 10_000,
) {
  const connect = daemonPeer(script)
  const pool = new DaemonPool((options) => DaemonClient.open(connect, options), {
    connections: size,
    keepAlive,
  })
  return { pool, streams: connect.streams }
}

const ask = (path: string) => (client: DaemonClient) => client.isValidPath(path)

test('connections are opened when needed, kept, and bounded in number', async () => {
  const { pool, streams } = poolOf(obliging)
  assert.equal(streams.length, 0)
  await pool.use(ask('/a'))
  await pool.use(ask('/b'))
  assert.equal(streams.length, 1)
  let running = 0
  let most = 0
  await Promise.all(
    Array.from({ length: 20 }, () =>
      pool.use(async (client) => {
        most = Math.max(most, ++running)
        await client.isValidPath('/c')
        running--
      }),
    ),
  )
  assert.equal(most, 2)
  assert.equal(streams.length, 2)
  pool.close()
  assert.ok(streams.every((stream) => stream.destroyed))
  await assert.rejects(pool.use(ask('/d')), DaemonUnavailableError)
})

test('a connection with an error is replaced', async () => {
  const { pool, streams } = poolOf(obliging, 1)
  await assert.rejects(pool.use(ask('/refuse')), DaemonError)
  assert.ok(streams[0]?.destroyed)
  assert.equal(await pool.use(ask('/a')), true)
  assert.equal(streams.length, 2)
  pool.close()
})

test('a kept connection that is dead when it is used is replaced without anyone noticing', async () => {
  const { pool, streams } = poolOf(async (peer, connection) => {
    await peer.greet(34)
    await peer.operation()
    peer.send(LAST, u64(1))
    await peer.operation()
    if (connection === 1) peer.stream.end()
    else peer.send(LAST, u64(1))
  }, 1)
  await pool.use(ask('/a'))
  assert.equal(await pool.use(ask('/b')), true)
  assert.equal(streams.length, 2)
  pool.close()
})

test('a kept connection that hung up while idle is replaced', async () => {
  const { pool, streams } = poolOf(async (peer) => {
    await peer.greet(34)
    await peer.operation()
    peer.send(LAST, u64(1))
    peer.stream.end()
  }, 1)
  await pool.use(ask('/a'))
  await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(await pool.use(ask('/b')), true)
  assert.equal(streams.length, 2)
  pool.close()
})

test('a fresh connection that hangs up is an error', async () => {
  const { pool, streams } = poolOf(obliging, 1)
  await assert.rejects(pool.use(ask('/hang-up')), DaemonUnavailableError)
  assert.equal(streams.length, 1)
  pool.close()
})

test('failing to connect does not use up the pool', async () => {
  const pool = new DaemonPool(() => Promise.reject(new DaemonUnavailableError('nobody')), { connections: 1 })
  for (let i = 0; i < 3; i++) await assert.rejects(pool.use(ask('/a')), /nobody/)
})

test('who waits for a turn can give up, and the others get theirs', async () => {
  const { pool } = poolOf(obliging, 1)
  const { client } = await pool.lease(ask('/a'))
  const abort = new AbortController()
  const quitter = pool.use(ask('/b'), { signal: abort.signal })
  const patient = pool.use(ask('/c'))
  abort.abort()
  await assert.rejects(quitter, AbortedError)
  pool.release(client)
  assert.equal(await patient, true)
  pool.close()
})

test('closing fails what runs and what waits', async () => {
  const { pool, streams } = poolOf(async (peer) => peer.greet(34), 1)
  const running = assert.rejects(pool.use(ask('/a')), DaemonUnavailableError)
  const waiting = assert.rejects(pool.use(ask('/b')), DaemonUnavailableError)
  while (streams.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setTimeout(resolve, 5))
  pool.close()
  await Promise.all([running, waiting])
  assert.ok(streams.every((stream) => stream.destroyed))
})

test('connections that nobody uses are closed after a while', async () => {
  const { pool, streams } = poolOf(obliging, 2, 10)
  await pool.use(ask('/a'))
  const hold = setInterval(() => {}, 1000)
  while (!streams[0]?.destroyed) await new Promise((resolve) => setTimeout(resolve, 5))
  clearInterval(hold)
  assert.equal(await pool.use(ask('/b')), true)
  pool.close()
})
