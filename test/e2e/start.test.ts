/** The first of the README's two commands: `npm start` in a fresh clone installs, builds and runs a node. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { GachixNode } from '../support/gachix.ts'
import { eventually } from '../support/mesh-node.ts'
import { freePort, run } from '../support/process.ts'

const CHECKOUT = join(import.meta.dirname, '../..')

/** Whether there is such a process, or with a negative id any of its group. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('`npm start` in a fresh clone serves', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-start-'))
  const clone = join(folder, 'clone')
  try {
    // A checkout that belongs to another user is fine here.
    const config = join(folder, 'gitconfig')
    await writeFile(config, '[safe]\n\tdirectory = *\n')
    const git = { env: { ...process.env, GIT_CONFIG_GLOBAL: config } }
    await run('git', ['clone', '--quiet', '--no-local', `file://${CHECKOUT}`, clone], git)

    const port = await freePort()
    // npm marks what it starts by its own variables; the clone is to see none of the outer npm's.
    const inherited = Object.entries(process.env).filter(([name]) => !/^(npm_|GACHIX)/.test(name))
    const child = spawn('npm', ['start'], {
      cwd: clone,
      env: {
        ...Object.fromEntries(inherited),
        npm_config_prefer_offline: 'true',
        GACHIX__SERVER__PORT: String(port),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const node = new GachixNode(`http://127.0.0.1:${port}`, child)
    try {
      await node.healthy(240_000)
      const info = await fetch(`${node.url}/nix-cache-info`)
      assert.equal(info.status, 200)
      assert.match(await info.text(), /^StoreDir: \/nix\/store$/m)
      const page = await fetch(node.url)
      assert.equal(page.status, 200)
      assert.match(await page.text(), /gachix/i)
      await run('git', ['-C', join(clone, 'cache'), 'rev-parse', '--git-dir'])
    } finally {
      // npm, its shell and the node are one process group; npm may end before the node, which still writes to the clone then.
      if (child.exitCode === null) process.kill(-child.pid!, 'SIGTERM')
      await node.stop()
      await eventually('the node has ended', () => !isAlive(-child.pid!), 30_000)
    }
    const changed = await run('git', ['-C', clone, 'status', '--porcelain'])
    assert.equal(changed.toString(), '', 'running leaves nothing in the checkout that git would see')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
