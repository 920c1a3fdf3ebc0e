/**
 * Peers that flood or trickle: programs of their own on hosts of their own, made of bare libp2p. The node that they attack has an
 * honest peer and a client, which both must not notice.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { nix32Decode } from '../../src/nix/base32.ts'
import { MAX_CONNECTIONS_PER_ADDRESS } from '../../src/peers/swarm/limits.ts'
import { fetchPackage } from '../soak/client.ts'
import { fsck } from '../support/gachix.ts'
import { noise } from '../support/git-fixture.ts'
import type { HostilePlan } from '../support/hostile-peer.ts'
import { type Member, MeshHosts, PORT } from '../support/mesh-hosts.ts'
import { directory, file, type MadePackage, makePackage } from '../support/packages.ts'
import { run, stopChild, until } from '../support/process.ts'

const PROGRAM = join(import.meta.dirname, '../support/hostile-peer.ts')
/** Milliseconds in which a request ends after the last hope is gone, and what a loaded machine takes on top. */
const PATIENCE = 2500 + 2500
/** Milliseconds in which a package has to come while a flood takes the processor. */
const FLOOD_PATIENCE = 15_000
/** Milliseconds for which a flood goes on. */
const FLOOD = 2000
/** Bytes of resident memory that a node may come to: what SHORTCOMINGS.md says of a busy one. */
const MOST_MEMORY = 330e6
/** Bytes of disk above its packages that a node may come to: quarantine, inventory, book and socket. */
const MOST_DISK = 4e6

/** Bytes a second that the honest peer sends: so few that others are asked to help it. */
const HONEST_SPEED = 1_500_000

const many = (name: string, seed: number, references: string[] = []): MadePackage =>
  makePackage(
    name,
    directory(
      Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, file(noise(20_000, seed + i))])),
    ),
    references,
  )
const WANTED = Array.from({ length: 12 }, (_, i) => many(`wanted-${i}`, 1000 * i))
/** A closure, the last of which refers to all before. */
const SHARED = Array.from({ length: 6 }, (_, i) =>
  many(`shared-${i}`, 50_000 + 1000 * i, i === 0 ? [] : [`shared-${i - 1}`]),
)
const HIDDEN = many('hidden', 60_000)

describe('a node that is attacked', { timeout: 240_000 }, () => {
  const stack = new AsyncDisposableStack()
  let mesh: MeshHosts
  let target: Member
  let honest: Member
  let hidden: Member
  let honestId: string
  let onlyOne: Awaited<ReturnType<typeof attack>>

  before(async () => {
    mesh = stack.use(await MeshHosts.create())
    target = await mesh.add('target')
    ;[honest, hidden] = await Promise.all([
      mesh.add('honest', {
        packages: [...WANTED, ...SHARED],
        env: { GACHIX__MESH__UPLOAD_LIMIT: String(HONEST_SPEED) },
      }),
      mesh.add('hidden', { packages: [...SHARED, HIDDEN], peers: [] }),
    ])
    await mesh.connected([target, honest], 60_000)
    honestId = (await honest.control.meshIdentity()).id
    await until(
      () => 'the packages to be known',
      async () => (await target.knows(WANTED.at(-1)!.info.storePath.hash)) || undefined,
    )
  })
  after(() => stack.disposeAsync())

  /** Starts a peer on a host of its own, which leaves the processor to the node; gives its id once it is connected. */
  async function attack(plan: Omit<HostilePlan, 'network' | 'target'>, name: string) {
    const host = await mesh.network.host(name)
    const whole: HostilePlan = { ...plan, network: 'team', target: [target.host.address, PORT] }
    const [command, ...args] = host.command(['nice', process.execPath, PROGRAM, JSON.stringify(whole)])
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
    stack.defer(() => stopChild(child, 'SIGKILL'))
    return { child, id: line.trim().split('\n')[0] as string }
  }

  const pathOf = ({ info }: MadePackage) => info.storePath.toString()
  /** A client fetches a package that the node does not have yet. @returns how it went, and the milliseconds that it took */
  const fetched = async (made: MadePackage) => {
    const started = performance.now()
    const { outcome } = await fetchPackage(target.node.url, pathOf(made))
    return { outcome, took: performance.now() - started }
  }
  /** A client gets a package from an honest peer: now, or when it asks again after a 404, as on any machine with too much to do. */
  const served = async (made: MadePackage) => {
    const end = performance.now() + FLOOD_PATIENCE
    for (;;) {
      const { outcome } = await fetched(made)
      if (outcome === 'whole') return
      assert.ok(performance.now() < end, `${outcome} after ${FLOOD_PATIENCE} ms`)
    }
  }
  const peer = async (id: string) => (await target.control.peers()).find((each) => each.id === id)

  const named = (id: string, offence: RegExp, patience?: number) =>
    until(
      () => 'the offence to be noted',
      async () => offence.test((await peer(id))?.offence ?? '') || undefined,
      patience,
    )

  /** Nothing of it has hurt anybody else, and the node has what it may have. */
  async function unharmed(t: TestContext): Promise<void> {
    const { state, offence = 'trickle: none' } = (await peer(honestId))!
    assert.equal(state, 'connected')
    // On a machine with too much to do an honest one may be slow for a moment, and nothing else.
    assert.match(offence, /^trickle: /)
    const status = readFileSync(`/proc/${target.node.child.pid}/status`, 'utf8')
    const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024
    t.diagnostic(`at most ${Math.round(peak / 1e6)} MB of resident memory`)
    assert.ok(peak <= MOST_MEMORY, `${peak} bytes of resident memory`)
    const [disk] = (await run('du', ['-sb', target.gachix.repository])).toString().split('\t')
    const packages = (await target.control.status()).store.packages
    const most = MOST_DISK + packages * 1_000_000
    assert.ok(Number(disk) <= most, `${disk} bytes of disk for ${packages} packages`)
  }

  test('by trickles answers in time, with what an honest peer has, and names one whom others can replace', async (t) => {
    const through = [hidden.host.address, PORT] as const
    const trickle = (packages: readonly MadePackage[], name: string) => {
      const announces = packages.map(({ info }) =>
        Buffer.from(nix32Decode(info.storePath.hash)).toString('hex'),
      )
      return attack({ behaviour: 'trickle', through, announces }, name)
    }
    const [only, other] = await Promise.all([trickle([HIDDEN], 'only'), trickle(SHARED, 'other')])
    const known = (made: MadePackage, peers: number) =>
      until(
        () => `${peers} to be known to have ${pathOf(made)}`,
        async () =>
          (await target.control.whoHas(made.info.storePath.hash)).peers.length === peers || undefined,
      )
    const shared = SHARED.at(-1)!
    await Promise.all([known(HIDDEN, 1), known(shared, 2)])
    const without = await fetched(HIDDEN)
    t.diagnostic(`${without.outcome} after ${Math.round(without.took)} ms`)
    assert.notEqual(without.outcome, 'whole')
    assert.ok(without.took < PATIENCE, `${without.took} ms`)
    await served(shared)
    await named(other.id, /^trickle: /)
    await stopChild(other.child, 'SIGKILL')
    onlyOne = only
    await unharmed(t)
  })

  for (const behaviour of ['gossip', 'streams', 'wants'] as const) {
    test(`by a flood of ${behaviour} serves its client, and names the peer`, async (t) => {
      const { child, id } = await attack({ behaviour }, behaviour)
      await Promise.all([delay(FLOOD), served(WANTED.shift()!)])
      await served(WANTED.shift()!)
      await named(id, /^(protocol|flood|stall): /)
      await stopChild(child, 'SIGKILL')
      assert.match(await target.gachix.run(['peer', 'list']), /banned|penalty points? for: /)
      await unharmed(t)
    })
  }

  test('by a flood of dials serves its client, and lets others in', async (t) => {
    const { child } = await attack({ behaviour: 'dials' }, 'dials')
    await Promise.all([delay(FLOOD), served(WANTED.shift()!)])
    // Each is a connection like any other; there just are no more of them than may be.
    const { load } = (await target.control.status()).mesh!
    assert.ok(load.connections <= MAX_CONNECTIONS_PER_ADDRESS + 1, `${load.connections} connections`)
    await mesh.add('newcomer')
    await mesh.connected([target, honest], 60_000)
    await until(
      () => 'the newcomer to be let in',
      async () => (await target.peer(mesh.members.at(-1)!))?.state === 'connected' || undefined,
    )
    await stopChild(child, 'SIGKILL')
    await unharmed(t)
  })

  test('by a trickle names also the only one who has something, and is whole in the end', async (t) => {
    // It stalls, or another link of the same pull has told of the trickle since.
    await named(onlyOne.id, /^(stall|trickle): /, 60_000)
    await stopChild(onlyOne.child, 'SIGKILL')
    await unharmed(t)
    await fsck(target.gachix.repository)
  })
})
