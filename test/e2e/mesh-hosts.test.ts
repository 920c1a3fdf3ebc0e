/** Nodes on hosts of their own (network namespaces) on one switch: a cable that is pulled, a node that is killed, multicast. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import type { PeerStatus } from '../../src/peers/mesh/status.ts'
import type { MeshCommand } from '../support/mesh-program.ts'
import { type Host, Network } from '../support/network.ts'
import { run, stopChild, until } from '../support/process.ts'

const PROGRAM = join(import.meta.dirname, '../support/mesh-program.ts')
const PORT = 4042

interface Node {
  readonly host: Host
  readonly id: string
  readonly process: ChildProcess
  tell(command: MeshCommand): Promise<unknown>
}

async function startNode(
  host: Host,
  path: string,
  more: { readonly peers?: readonly string[]; readonly mdns?: boolean },
): Promise<Node> {
  const settings = { path, listen: [`/ip4/0.0.0.0/tcp/${PORT}`], ...more }
  const [command, ...args] = host.command([process.execPath, PROGRAM, JSON.stringify(settings)])
  const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const read = async (): Promise<unknown> => JSON.parse((await lines.next()).value ?? 'null')
  const { id } = (await read()) as { id: string }
  let turn: Promise<unknown> = Promise.resolve()
  return {
    host,
    id,
    process: child,
    tell: (order) => {
      turn = turn.then(async () => {
        child.stdin!.write(`${JSON.stringify(order)}\n`)
        return await read()
      })
      return turn
    },
  }
}

describe('three nodes on three hosts', () => {
  let network: Network
  let root: string
  const nodes: Node[] = []

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'gachix-hosts-'))
    network = await Network.create()
    const hosts: Host[] = []
    for (let i = 0; i < 3; i++) hosts.push(await network.host(`n${i}`))
    const start = (host: Host, peers: string[]) => startNode(host, join(root, host.name), { peers })
    const [first, ...others] = hosts
    nodes.push(await start(first!, []))
    nodes.push(...(await Promise.all(others.map((host) => start(host, [`${first!.address}:${PORT}`])))))
  })
  after(async () => {
    await Promise.all(nodes.map(({ process }) => stopChild(process)))
    await network[Symbol.asyncDispose]()
    await rm(root, { recursive: true, force: true })
  })

  const peersOf = async (node: Node) => (await node.tell({ kind: 'peers' })) as PeerStatus[]
  const knownTo = async (node: Node, name: string) =>
    ((await node.tell({ kind: 'who has', name })) as string[]).length > 0
  const known = (name: string, by: readonly Node[]) =>
    until(
      () => `${name} to be known`,
      async () => (await Promise.all(by.map((node) => knownTo(node, name)))).every(Boolean) || undefined,
    )

  it('find each other from one address, and say where', async () => {
    await until(
      () => 'all to be connected',
      async () => {
        const all = await Promise.all(nodes.map(peersOf))
        return (
          all.every((peers) => peers.filter(({ state }) => state === 'connected').length === 2) || undefined
        )
      },
    )
    const last = (await peersOf(nodes[1]!)).find(({ id }) => id === nodes[2]!.id)!
    assert.ok(last.addresses.includes(`/ip4/${nodes[2]!.host.address}/tcp/${PORT}`))
    assert.ok(!last.addresses.some((address) => address.includes('127.0.0.1')))
  })

  it('know what both sides added once a partition has healed', async () => {
    const [first, second, cut] = nodes as [Node, Node, Node]
    await cut.host.unplug()
    await cut.tell({ kind: 'add', name: 'inside' })
    await second.tell({ kind: 'add', name: 'outside' })
    await known('outside', [first])
    assert.equal(await knownTo(cut, 'outside'), false)
    await cut.host.plug()
    await known('outside', [cut])
    await known('inside', [first, second])
    assert.ok(((await first.tell({ kind: 'fetch', name: 'inside' })) as number) > 100)
  })

  it('notice at once when one is killed', async () => {
    const [first, victim, last] = nodes as [Node, Node, Node]
    victim.process.kill('SIGKILL')
    await until(
      () => 'the others to notice',
      async () => {
        const all = await Promise.all([first, last].map(peersOf))
        return (
          all.every((peers) => peers.some(({ id, state }) => id === victim.id && state !== 'connected')) ||
          undefined
        )
      },
    )
    assert.equal(
      typeof (await last.tell({ kind: 'fetch', name: 'outside' })),
      'string',
      'it is not there any more',
    )
    assert.ok(((await first.tell({ kind: 'fetch', name: 'inside' })) as number) > 100)
  })
})

describe('two nodes on one local network', () => {
  it('find each other by multicast DNS when they are told to', async () => {
    const root = await mkdtemp(join(tmpdir(), 'gachix-hosts-'))
    await using network = await Network.create()
    const nodes: Node[] = []
    try {
      for (const name of ['a', 'b']) {
        const host = await network.host(name)
        // Only this network has a way for multicast.
        const [command, ...args] = host.command(['ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0'])
        await run(command!, args)
        nodes.push(await startNode(host, join(root, name), { mdns: true }))
      }
      await until(
        () => 'the two to be connected',
        async () => {
          const peers = (await nodes[0]!.tell({ kind: 'peers' })) as PeerStatus[]
          return peers.some(({ id, state }) => id === nodes[1]!.id && state === 'connected') || undefined
        },
      )
    } finally {
      await Promise.all(nodes.map(({ process }) => stopChild(process)))
      await rm(root, { recursive: true, force: true })
    }
  })
})
