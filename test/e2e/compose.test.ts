/** The mesh of `deploy/compose.yml`: its three nodes, as processes on hosts of their own with the settings and volumes there. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { type ComposeService, readCompose } from '../support/compose.ts'
import { CLI, GachixNode } from '../support/gachix.ts'
import { inLayer } from '../support/layer.ts'
import { type Host, Network } from '../support/network.ts'
import { NixStore } from '../support/nix.ts'
import { run, until } from '../support/process.ts'
import { checkSubstitution } from '../support/substitution.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
/** What the image's entry point is. */
const ENTRYPOINT = ['gachix', '--config', '/etc/gachix/config.yaml']

test('three nodes as in deploy/compose.yml: what one has learned, a client gets from another', async () => {
  await using network = await Network.create()
  await using nix = await NixStore.start()
  const folder = await mkdtemp(join(tmpdir(), 'gachix-compose-'))
  const file = await readCompose(join(DEPLOY, 'compose.yml'))
  const nodes = new Map<string, GachixNode>()
  try {
    const names = [...file.services].filter(([, { ports }]) => ports.length > 0).map(([name]) => name)
    assert.equal(names.length, 3)
    const hosts = new Map<string, Host>()
    for (const name of names) hosts.set(name, await network.host(name))
    const files = await imageFiles(folder, hosts)
    const start = async (service: ComposeService, command: readonly string[]): Promise<string[]> => {
      const binds = service.volumes.map(({ source, target }) => ({
        // The daemon of the test stands for this machine's.
        source: source.startsWith('/nix/') ? dirname(nix.socket) : join(folder, 'volumes', source),
        target,
      }))
      for (const { source } of binds) await mkdir(source, { recursive: true })
      const env = { PATH: process.env.PATH!, HOME: '/data', ...service.environment }
      const layer = await mkdtemp(join(folder, 'layer-'))
      return inLayer({ folder: layer, files, binds, env: withSocket(env, nix), cwd: '/data' }, command)
    }

    for (const name of names) {
      const service = file.services.get(name)!
      for (const before of service.after) {
        const { entrypoint, command, ...rest } = file.services.get(before)!
        const [program, ...args] = await start({ entrypoint, command, ...rest }, [...entrypoint, ...command])
        await run(program!, args)
      }
      const host = hosts.get(name)!
      const child = launch(host.command(await start(service, [...ENTRYPOINT, 'serve'])))
      const node = new GachixNode(`http://${host.address}:${service.ports[0]!.target}`, child)
      nodes.set(name, node)
      await node.healthy()
    }

    const [first, , third] = names.map((name) => nodes.get(name)!)
    const inside = async (name: string, ...command: string[]): Promise<string> => {
      const [program, ...args] = await start(file.services.get(name)!, ['gachix', ...command])
      return (await run(program!, args)).toString()
    }
    const [root] = await nix.build(['plain'])
    await inside(names[0]!, 'add', root!)
    const key = (await inside(names[2]!, '--config', '/etc/gachix/config.yaml', 'key', 'show')).trim()
    const hash = root!.slice('/nix/store/'.length, '/nix/store/'.length + 32)
    await until(
      () => `the package at the third node: ${third!.output()} ${first!.output()}`,
      async () => ((await fetch(`${third!.url}/${hash}.narinfo`)).ok ? true : undefined),
    )
    const closure = await nix.facts(await nix.closure([root!]))
    const cache = { url: third!.url, publicKeys: [key] }
    await checkSubstitution({ cache, roots: [root!], closure, with: 'nix copy' })
  } finally {
    for (const node of nodes.values()) await node.stop()
    await rm(folder, { recursive: true, force: true })
  }
})

/** What the image has in its root and this machine has not, and the names of the hosts. */
async function imageFiles(folder: string, hosts: ReadonlyMap<string, Host>): Promise<string> {
  const files = join(folder, 'files')
  await mkdir(join(files, 'usr/local/bin'), { recursive: true })
  await mkdir(join(files, 'etc/gachix'), { recursive: true })
  const program = join(files, 'usr/local/bin/gachix')
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`)
  await chmod(program, 0o755)
  await cp(join(DEPLOY, 'container-config.yaml'), join(files, 'etc/gachix/config.yaml'))
  const lines = Array.from(hosts, ([name, { address }]) => `${address} ${name}\n`)
  await writeFile(join(files, 'etc/hosts'), `127.0.0.1 localhost\n${lines.join('')}`)
  return files
}

/** The test's daemon has a name of its own for its socket. */
function withSocket(env: Readonly<Record<string, string>>, nix: NixStore): Record<string, string> {
  const { NIX_DAEMON_SOCKET_PATH: socket, ...rest } = env
  if (socket === undefined) return rest
  return { ...rest, NIX_DAEMON_SOCKET_PATH: join(dirname(socket), nix.socket.split('/').at(-1)!) }
}

function launch([program, ...args]: readonly string[]): ChildProcess {
  return spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
}
