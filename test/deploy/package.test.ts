/** The npm package as its users get it: packed, installed elsewhere, and run with Node 24 and nothing else of ours. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { GachixNode } from '../support/gachix.ts'
import { NixStore } from '../support/nix.ts'
import { NixClient } from '../support/nix-client.ts'
import { freePort, run } from '../support/process.ts'

const CHECKOUT = join(import.meta.dirname, '../..')

test('packed and installed: serve, add from a real daemon, list, use', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-package-'))
  try {
    // npm test has built it; packing would build again under the feet of other tests.
    if (process.env.GACHIX_TEST_DIST !== '1') await run('npm', ['run', '-s', 'build'], { cwd: CHECKOUT })
    const packing = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]
    const [packed] = JSON.parse((await run('npm', packing, { cwd: CHECKOUT })).toString()) as {
      filename: string
      files: { path: string }[]
    }[]
    const files = packed!.files.map(({ path }) => path)
    const wanted =
      /^(dist\/(src|protocol|package\.json)|deploy\/|protocol\/|package\.json$|LICENSE$|[A-Z]+\.md$)/
    const strays = files.filter((path) => !wanted.test(path) || /\.(ts|map)$/.test(path))
    assert.deepEqual(strays, [], 'files of development')
    for (const path of ['dist/src/cli/main.js', 'deploy/gachix.1', 'deploy/config.example.yaml', 'LICENSE']) {
      assert.ok(files.includes(path), path)
    }

    const prefix = join(folder, 'prefix')
    const install = ['install', '--global', '--prefix', prefix, '--prefer-offline', '--no-audit', '--no-fund']
    await run('npm', [...install, '--omit=dev', join(folder, packed!.filename)])
    await symlink(process.execPath, join(prefix, 'bin/node'))
    const manual = await readFile(join(prefix, 'share/man/man1/gachix.1'), 'utf8')
    assert.equal(manual, await readFile(join(CHECKOUT, 'deploy/gachix.1'), 'utf8'))

    await using nix = await NixStore.start()
    const [path] = await nix.build(['plain'])
    const env = {
      PATH: `${prefix}/bin:/usr/bin:/bin`,
      HOME: folder,
      NIX_DAEMON_SOCKET_PATH: nix.socket,
      NIX_CONF_DIR: join(folder, 'etc'),
      GACHIX__SERVER__PORT: String(await freePort()),
    }
    const gachix = async (...args: string[]) => (await run('gachix', args, { cwd: folder, env })).toString()
    const manifest = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string }
    assert.equal(await gachix('--version'), `${manifest.version}\n`)
    const url = `http://localhost:${env.GACHIX__SERVER__PORT}`
    const node = new GachixNode(url, spawn('gachix', ['serve'], { cwd: folder, env, stdio: 'pipe' }))
    try {
      await node.healthy()
      assert.match(await gachix('add', path!), /^added \d+ packages/)
      assert.ok((await gachix('list')).split('\n').includes(path!))
      await gachix('use', '--write')
      const lines = await readFile(join(folder, 'etc/nix.conf'), 'utf8')
      assert.match(lines, new RegExp(`^extra-substituters = ${url}$`, 'm'))
      await using client = await NixClient.create()
      const publicKey = /^extra-trusted-public-keys = (\S+)$/m.exec(lines)![1]!
      await client.copy({ url, publicKeys: [publicKey] }, [path!])
      await client.verify([publicKey])
    } finally {
      await node.stop()
    }
    assert.equal(node.child.exitCode, 0)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
