/** The Dockerfile, built and run: what is in the image, and that it serves without root on a read-only root and stops well. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { NixStore } from '../support/nix.ts'
import { freePort, until } from '../support/process.ts'
import { checkSubstitution } from '../support/substitution.ts'
import { Container } from './container.ts'
import { Image } from './image.ts'

/** Folders of the image's PATH. */
const PROGRAMS = ['usr/local/sbin', 'usr/local/bin', 'usr/sbin', 'usr/bin']
const BIG_FILE = 64 * 1024 * 1024

describe('the container image', () => {
  let image: Image
  before(async () => {
    image = await Image.build()
  })
  after(() => image?.[Symbol.asyncDispose]())

  test('says how it wants to be run', () => {
    const { User, Volumes, ExposedPorts, StopSignal, Healthcheck } = image.config
    assert.match(User, /^[1-9]\d*:[1-9]\d*$/, 'a number, so that engines can tell that it is not root')
    assert.deepEqual([Object.keys(Volumes), StopSignal], [['/data'], 'SIGTERM'])
    assert.ok(Object.keys(ExposedPorts).includes('8080/tcp'))
    assert.equal(Healthcheck.Test[0], 'CMD')
  })

  test('has what the node runs, and neither package managers of JavaScript nor compilers nor what only development needs', async () => {
    const programs = (await Promise.all(PROGRAMS.map((folder) => readdir(join(image.root, folder))))).flat()
    for (const name of ['node', 'git', 'ssh', 'gachix']) assert.ok(programs.includes(name), name)
    for (const name of ['npm', 'npx', 'yarn', 'corepack', 'gcc', 'cc', 'make', 'python3', 'curl']) {
      assert.ok(!programs.includes(name), name)
    }
    const files = (await readdir(join(image.root, 'opt/gachix'))).sort()
    assert.deepEqual(files, ['LICENSE', 'dist', 'package.json'])
  })

  test('serves a real Nix client without root on a read-only root, and ends well with a transfer running', async () => {
    await using nix = await NixStore.start()
    const big = join(tmpdir(), `gachix-big-${process.pid}`)
    await writeFile(big, randomBytes(BIG_FILE))
    const bigPath = await nix.add(big)
    await rm(big)
    const [root] = await nix.build(['plain'])
    const port = await freePort()
    const env = {
      NIX_DAEMON_SOCKET_PATH: '/mnt/nix-daemon',
      GACHIX__SERVER__PORT: String(port),
      GACHIX__MESH__LISTEN: '/ip4/127.0.0.1/tcp/0',
    }
    await using container = await Container.start(image, { env, daemonSocket: nix.socket })
    const url = `http://127.0.0.1:${port}`
    await until(
      () => `the node in the container: ${container.output()}`,
      async () => {
        if (container.child.exitCode !== null) throw new Error(`it ended: ${container.output()}`)
        return (await fetch(`${url}/health`).catch(() => undefined))?.ok || undefined
      },
    )

    const status = await container.status()
    assert.match(status, /^Uid:\s+10001\s+10001\s+10001\s+10001$/m)
    assert.match(status, /^CapEff:\s+0+$/m)
    assert.match(status, /^CapBnd:\s+0+$/m)
    assert.match(status, /^NoNewPrivs:\s+1$/m)
    assert.match(status, /^NSpid:\s+\d+\s+1$/m, 'the node is process 1')
    for (const path of ['/x', '/tmp/x', '/opt/gachix/x', '/etc/gachix/x']) {
      assert.match((await container.exec(['touch', path])).stderr, /Read-only file system/)
    }
    const healthy = await container.exec(image.config.Healthcheck.Test.slice(1))
    assert.equal(healthy.code, 0, healthy.stderr)

    const added = await container.exec(['gachix', 'add', root!, bigPath])
    assert.equal(added.code, 0, added.stderr)
    const key = (await container.exec(['gachix', 'key', 'show'])).stdout.toString().trim()
    const closure = await nix.facts(await nix.closure([root!]))
    const cache = { url, publicKeys: [key] }
    await checkSubstitution({ cache, roots: [root!], closure, with: 'nix copy' })

    const info = await (
      await fetch(`${url}/${bigPath.slice('/nix/store/'.length).slice(0, 32)}.narinfo`)
    ).text()
    const client = connect(port, '127.0.0.1')
    client.on('error', () => {})
    client.write(`GET /${/^URL: (.*)$/m.exec(info)![1]} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const [head] = (await once(client, 'data')) as [Buffer]
    assert.match(head.toString('latin1'), /^HTTP\/1.1 200 /)
    client.pause()
    const began = performance.now()
    const ended = once(container.child, 'exit')
    await container.stop()
    assert.deepEqual(await ended, [0, null], container.output())
    // Engines wait for 10 seconds, and kill then.
    assert.ok(performance.now() - began < 10_000, `it took ${performance.now() - began} ms`)
    client.destroy()
  })
})
