import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { defaultDaemonSocket, unixSocket } from '../../../../src/ingest/daemon/connect.ts'
import { DaemonUnavailableError } from '../../../../src/ingest/daemon/errors.ts'
import { AbortedError } from '../../../../src/util/errors.ts'

const live = new AbortController().signal
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-connect-'))
})
after(() => rm(folder, { recursive: true, force: true }))

test('the socket is where Nix looks for it', () => {
  assert.equal(defaultDaemonSocket({}), '/nix/var/nix/daemon-socket/socket')
  assert.equal(defaultDaemonSocket({ NIX_DAEMON_SOCKET_PATH: '' }), '/nix/var/nix/daemon-socket/socket')
  assert.equal(defaultDaemonSocket({ NIX_STATE_DIR: '/state' }), '/state/daemon-socket/socket')
  assert.equal(defaultDaemonSocket({ NIX_DAEMON_SOCKET_PATH: '/s', NIX_STATE_DIR: '/state' }), '/s')
})

test('where nobody listens, the error names the socket and the way out', async () => {
  const missing = join(folder, 'missing')
  await assert.rejects(unixSocket(missing)(live), (error: Error) => {
    assert.ok(error instanceof DaemonUnavailableError)
    assert.equal(error.code, 'ERR_DAEMON_UNAVAILABLE')
    assert.ok(error.message.includes(missing))
    assert.match(error.message, /no such socket; is nix-daemon running\? NIX_DAEMON_SOCKET_PATH/)
    return true
  })
  const plain = join(folder, 'plain')
  await writeFile(plain, '')
  await assert.rejects(unixSocket(plain)(live), /nobody listens there/)
  await assert.rejects(unixSocket(join(folder, 'x'.repeat(120), 'socket'))(live), DaemonUnavailableError)
  await assert.rejects(unixSocket(missing)(AbortSignal.abort()), AbortedError)
})

test('a socket is reached at a path of any length', async () => {
  const deep = join(folder, 'd'.repeat(100), 'e'.repeat(100))
  await mkdir(deep, { recursive: true })
  for (const path of [join(folder, 's'), ...(process.platform === 'linux' ? [join(deep, 's')] : [])]) {
    const server = createServer((socket) => socket.end('hello'))
    // A server's own long path is cut by Node, so it listens by way of a short one.
    const cwd = process.cwd()
    process.chdir(join(path, '..'))
    server.listen('./s')
    await once(server, 'listening')
    process.chdir(cwd)
    const stream = await unixSocket(path)(live)
    assert.equal(String(await stream.setEncoding('utf8').toArray()), 'hello')
    server.close()
    await once(server, 'close')
  }
})
