/** A node under a service manager: sockets handed over, readiness, watchdog, and a stop with a transfer running. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CLI, Gachix } from '../support/gachix.ts'
import { ManagedNode } from '../support/managed-node.ts'
import { attempt, run } from '../support/process.ts'

test('serves on the sockets that it was handed, and says when it is ready and when it stops', async () => {
  await using node = await ManagedNode.start({ sockets: 2 })
  const [, ...ports] = await node.said(/^PORTS (\d+) (\d+)$/m)
  // The manager's sockets take connections before the node is there to accept them.
  const early = fetch(`http://127.0.0.1:${ports[0]}/nix-cache-info`)
  const [, url] = await node.said(/^READY=1\nSTATUS=serving at (http:\S+)$/m)
  assert.equal((await early).status, 200)
  assert.equal(url, `http://localhost:${ports[0]}`)
  for (const port of ports) {
    const info = await fetch(`http://127.0.0.1:${port}/nix-cache-info`)
    assert.match(await info.text(), /^StoreDir: \/nix\/store$/m)
  }
  assert.equal(await node.stop(), 0)
  assert.match(node.output(), /^STOPPING=1$/m)
  assert.doesNotMatch(node.output(), /WATCHDOG/, 'nobody asked for signs of life')
})

test('lives, says so to the watchdog, and makes its own socket when it was handed none', async () => {
  await using node = await ManagedNode.start({ watchdog: 400 })
  const [, url] = await node.said(/^STATUS=serving at (http:\S+)$/m)
  assert.equal((await fetch(`${url}/health`)).status, 200)
  await node.said(/(?:WATCHDOG=1\n[\s\S]*){3}/)
  assert.equal(await node.stop(), 0)
  assert.match(node.output(), /READY=1[\s\S]*WATCHDOG=1[\s\S]*STOPPING=1/)
  assert.doesNotMatch(node.output().split('STOPPING=1')[1]!, /WATCHDOG/)
})

test('sockets and watchdog of another process are not taken', async () => {
  const env = { LISTEN_PID: '1', LISTEN_FDS: '1', WATCHDOG_PID: '1', WATCHDOG_USEC: '1000' }
  await using node = await ManagedNode.start({ env })
  const [, url] = await node.said(/^STATUS=serving at (http:\S+)$/m)
  assert.equal((await fetch(`${url}/health`)).status, 200)
  assert.equal(await node.stop(), 0)
  assert.doesNotMatch(node.output(), /WATCHDOG/)
})

test('a descriptor that is no listening socket is refused by name', async () => {
  await using gachix = await Gachix.create()
  const announce = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3</dev/null'
  const command = ['-c', announce, 'sh', process.execPath, CLI, 'serve']
  const result = await attempt('sh', command, { env: gachix.env })
  assert.equal(result.code, 1)
  assert.match(result.stderr, /cannot listen on the inherited socket 3: .*\[ERR_LISTEN_FAILED\]$/m)
})

test('a manager that cannot be told is a warning, not a failure', async () => {
  const env = { PATH: '/nowhere' }
  await using node = await ManagedNode.start({ env })
  await node.said(/cannot be told how this node is doing by systemd-notify/)
  const [, url] = await node.said(/serving at (http:[^"\s]+)/)
  assert.equal((await fetch(`${url}/health`)).status, 200)
  assert.equal(await node.stop(), 0)
})

test('a transfer to a client that does not read is cut, and the node still ends well', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-stop-'))
  try {
    await run('git', ['init', '--quiet', '--bare', folder])
    const git = ['-C', folder, '-c', 'core.compression=0']
    const content = randomBytes(64 * 1024 * 1024)
    const blob = await run('git', [...git, 'hash-object', '-w', '--stdin'], { input: content })
    const entry = `100644 blob ${blob.toString().trim()}\tgachix-single-file\n`
    const tree = (await run('git', [...git, 'mktree'], { input: entry })).toString().trim()

    await using node = await ManagedNode.start({ env: { GACHIX__STORE__PATH: folder } })
    const [, port] = await node.said(/^STATUS=serving at http:\S+:(\d+)$/m)
    const client = connect(Number(port), '127.0.0.1')
    client.on('error', () => {})
    client.write(`GET /nar/${tree}.nar HTTP/1.1\r\nHost: x\r\n\r\n`)
    const [head] = (await once(client, 'data')) as [Buffer]
    assert.match(head.toString('latin1'), /^HTTP\/1.1 200 /)
    client.pause()
    const began = performance.now()
    assert.equal(await node.stop(), 0)
    assert.ok(performance.now() - began < 15_000, 'within TimeoutStopSec of the unit')
    client.destroy()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
