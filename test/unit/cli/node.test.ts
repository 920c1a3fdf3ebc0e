import assert from 'node:assert/strict'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { type Running, Sandbox, waitForStderr } from './gachix.ts'

describe('a node and the commands beside it', () => {
  let sandbox: Sandbox
  let node: Running | undefined
  before(async () => {
    sandbox = await Sandbox.create()
  })
  beforeEach(async () => {
    node?.child.kill('SIGKILL')
    await node?.finished
    node = undefined
  })
  after(async () => {
    node?.child.kill('SIGKILL')
    await node?.finished
    await sandbox.remove()
  })

  async function serve(...args: string[]): Promise<string> {
    node = sandbox.start(['serve', '--port', '0', ...args])
    const [, url] = await waitForStderr(node, /serving at (http:[^"\s]+)/)
    return url!
  }

  async function stop(signal: NodeJS.Signals) {
    node!.child.kill(signal)
    const result = await node!.finished
    node = undefined
    return result
  }

  it('serve makes repository and key, says so on standard error only, and ends cleanly on SIGTERM', async () => {
    const url = await serve()
    const info = await fetch(`${url}/nix-cache-info`)
    assert.equal(info.status, 200)
    assert.match(await info.text(), /^StoreDir: \/nix\/store\nWantMassQuery: 1\nPriority: 30\n$/)
    assert.equal((await stat(sandbox.file('cache/gachix-signing-key'))).mode & 0o777, 0o600)

    const { stdout: key } = await sandbox.run(['key', 'show'])
    assert.match(key, /^gachix-[A-Za-z0-9.-]+-1:[A-Za-z0-9+/]{43}=\n$/)
    const page = await (await fetch(url)).text()
    assert.ok(page.includes(key.trim()))

    assert.deepEqual({ ...(await stop('SIGTERM')), stderr: '' }, { code: 0, stdout: '', stderr: '' })
    await serve()
    assert.equal((await sandbox.run(['key', 'show'])).stdout, key)
    assert.equal((await stop('SIGINT')).code, 0)
  })

  it('commands work through the running node', async () => {
    const url = await serve('--log-level', 'info')
    const status = await sandbox.run(['status', '--json'])
    const { http, pid, store, publicKey } = JSON.parse(status.stdout) as Record<string, unknown>
    assert.deepEqual(http, { url })
    assert.equal(pid, node!.child.pid)
    assert.deepEqual(store, { path: sandbox.file('cache'), storeDir: '/nix/store', packages: 0 })
    assert.equal(publicKey, (await sandbox.run(['key', 'show'])).stdout.trim())
    assert.match((await sandbox.run(['status'])).stdout, new RegExp(`^serving +${url}$`, 'm'))

    assert.deepEqual(await sandbox.run(['list']), { code: 0, stdout: '', stderr: '' })
    const socket = sandbox.file('no-daemon')
    const path = `/nix/store/${'0'.repeat(32)}-x`
    const add = await sandbox.run(['add', path], { NIX_DAEMON_SOCKET_PATH: socket })
    assert.equal(add.code, 1)
    assert.ok(add.stderr.includes(socket), add.stderr)
  })

  it('a second node on the repository or the address fails by name and leaves nothing locked', async () => {
    const url = await serve()
    const second = await sandbox.run(['serve', '--port', '0'])
    assert.equal(second.code, 1)
    assert.match(second.stderr, new RegExp(`in use by process ${node!.child.pid} .*\\[ERR_LOCKED\\]$`, 'm'))

    const other = ['--store-path', 'other']
    const taken = await sandbox.run([...other, 'serve', '--port', new URL(url).port])
    assert.equal(taken.code, 1)
    assert.match(taken.stderr, /\[ERR_ADDRESS_IN_USE\]$/m)
    assert.deepEqual(await sandbox.run([...other, 'list']), { code: 0, stdout: '', stderr: '' })
  })

  it("a dead node is in nobody's way", async () => {
    await serve()
    await stop('SIGKILL')
    assert.match((await sandbox.run(['status'])).stderr, /\[ERR_NODE_NOT_RUNNING\]$/m)
    assert.deepEqual(await sandbox.run(['list']), { code: 0, stdout: '', stderr: '' })
  })

  it("an interrupted add ends with the signal's exit code and lets the repository go", async () => {
    const socket = sandbox.file('mute-daemon')
    const daemon = createServer().listen(socket)
    await once(daemon, 'listening')
    const connected = once(daemon, 'connection')
    const add = sandbox.start(['add', '--json', `/nix/store/${'0'.repeat(32)}-x`], {
      NIX_DAEMON_SOCKET_PATH: socket,
    })
    await connected
    add.child.kill('SIGINT')
    const { code, stdout, stderr } = await add.finished
    daemon.close()
    assert.equal(code, 130)
    assert.equal(stderr, 'gachix: interrupted [ERR_ABORTED]\n')
    assert.deepEqual(JSON.parse(stdout), { error: { code: 'ERR_ABORTED', message: 'interrupted' } })
    assert.deepEqual(await sandbox.run(['list']), { code: 0, stdout: '', stderr: '' })
  })

  it('add says that there is no source when the daemon is switched off', async () => {
    const env = { GACHIX__STORE__USE_LOCAL_NIX_DAEMON: 'false' }
    const { code, stderr } = await sandbox.run(['add', `/nix/store/${'0'.repeat(32)}-x`], env)
    assert.equal(code, 1)
    assert.match(stderr, /\[ERR_NO_SOURCE\]$/m)
  })
})
