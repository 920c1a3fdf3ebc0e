/** The npm package as its users get it: packed, installed elsewhere, and run with Node 24 and nothing else of ours. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fencedBlocks } from '../support/documents.ts'
import { GachixNode } from '../support/gachix.ts'
import { inLayer } from '../support/layer.ts'
import { NixStore } from '../support/nix.ts'
import { NixClient } from '../support/nix-client.ts'
import { attempt, freePort, run } from '../support/process.ts'

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
    const wanted = /^(dist\/[^/]+$|deploy\/|protocol\/|package\.json$|LICENSE$|[A-Z]+\.md$)/
    const strays = files.filter((path) => !wanted.test(path) || /\.(ts|map)$/.test(path))
    assert.deepEqual(strays, [], 'files of development')
    for (const path of [
      'dist/main.js',
      'dist/chunk.wasm',
      'dist/chunk.wasm.LICENSE',
      'dist/THIRD-PARTY-LICENSES.txt',
      'deploy/gachix.1',
      'deploy/config.example.yaml',
      'LICENSE',
    ]) {
      assert.ok(files.includes(path), path)
    }

    const prefix = join(folder, 'prefix')
    const install = ['install', '--global', '--prefix', prefix, '--prefer-offline', '--no-audit', '--no-fund']
    await run('npm', [...install, '--omit=dev', join(folder, packed!.filename)])
    await symlink(process.execPath, join(prefix, 'bin/node'))
    const manual = await readFile(join(prefix, 'share/man/man1/gachix.1'), 'utf8')
    assert.equal(manual, await readFile(join(CHECKOUT, 'deploy/gachix.1'), 'utf8'))

    await installAsService(prefix, folder)

    await using nix = await NixStore.start()
    const [path] = await nix.build(['plain'])
    const env = {
      PATH: `${prefix}/bin:/usr/bin:/bin`,
      HOME: folder,
      NIX_DAEMON_SOCKET_PATH: nix.socket,
      NIX_CONF_DIR: join(folder, 'etc'),
      GACHIX__SERVER__PORT: String(await freePort()),
      GACHIX__MESH__LISTEN: '/ip4/127.0.0.1/tcp/0',
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

test('the libraries of a production install have the hash that deploy/nix/package.nix names', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-dependencies-'))
  try {
    const manifests = ['package.json', 'package-lock.json']
    for (const name of manifests) await copyFile(join(CHECKOUT, name), join(folder, name))
    const install = ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
    await run('npm', install, { cwd: folder })
    await rm(join(folder, 'node_modules/.package-lock.json'))
    for (const name of manifests) await rm(join(folder, name))
    const hashing = ['--extra-experimental-features', 'nix-command', 'hash', 'path', folder]
    const hash = (await run('nix', hashing)).toString().trim()
    const recipe = await readFile(join(CHECKOUT, 'deploy/nix/package.nix'), 'utf8')
    assert.equal(/outputHash = "(.*)"/.exec(recipe)![1], hash, 'the outputHash of package.nix')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

/** The commands of deploy/README.md, as they stand there, on this system seen through a layer that takes what they write. */
async function installAsService(prefix: string, folder: string): Promise<void> {
  const readme = await readFile(join(CHECKOUT, 'deploy/README.md'), 'utf8')
  const [commands] = fencedBlocks(readme, 'sh')
  const unit = '/etc/systemd/system/gachix'
  const checks = `systemd-analyze verify ${unit}.service ${unit}.socket
    stat -c '%U %G %a %n' /var/lib/gachix /etc/gachix/config.yaml`
  const path = `${prefix}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`
  const files = join(folder, 'files')
  await mkdir(join(files, 'usr/local/bin'), { recursive: true })
  await symlink(join(prefix, 'bin/gachix'), join(files, 'usr/local/bin/gachix'))
  const env = { PATH: path, npm_config_prefix: prefix }
  const layer = { folder: join(folder, 'layer'), files, env, cwd: '/' }
  const [program, ...args] = await inLayer(layer, ['sh', '-eux'])
  const done = await attempt(program!, args, { input: `${commands}\n${checks}\n` })
  assert.equal(done.code, 0, done.stderr)
  const said = done.stdout.toString()
  assert.match(said, /^gachix gachix 750 \/var\/lib\/gachix$/m)
  assert.match(said, /^root gachix 640 \/etc\/gachix\/config\.yaml$/m)
  assert.doesNotMatch(done.stderr, /gachix\.(service|socket):/, 'systemd found no fault in the units')
}
