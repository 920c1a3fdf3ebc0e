/** A network that falls into two halves and heals, nodes that restart, and one that has lost everything. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fsck } from '../support/gachix.ts'
import { type Member, MeshHosts } from '../support/mesh-hosts.ts'
import { NixStore } from '../support/nix.ts'
import { file, makePackage } from '../support/packages.ts'
import { until } from '../support/process.ts'

/** Packages that are there from the start, on one node of each half. */
const PACKAGES = 1500
/** Bytes of a hash part in a list of packages. */
const HASH = 20
/** Milliseconds of the partition: long enough for all connections across it to be given up. */
const PARTITION = 20_000
/** Milliseconds after healing in which all have to know what both halves added. */
const TARGET = 10_000

describe('four nodes, many packages', () => {
  const stack = new AsyncDisposableStack()
  let mesh: MeshHosts
  let store: NixStore
  let folder: string
  let a: Member
  let b: Member
  let c: Member
  let d: Member

  before(async () => {
    mesh = stack.use(await MeshHosts.create())
    store = stack.use(await NixStore.start())
    folder = await mkdtemp(join(tmpdir(), 'gachix-tiny-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const packages = Array.from({ length: PACKAGES }, (_, i) => makePackage(`p-${i}`, file(`${i}\n`)))
    a = await mesh.add('a', { packages })
    ;[b, c, d] = await Promise.all([mesh.add('b'), mesh.add('c', { packages }), mesh.add('d')])
    await mesh.connected()
    await until(
      () => 'all to have heard of all packages',
      async () => ((await hears(b, a)) && (await hears(d, a)) && (await hears(b, c))) || undefined,
    )
  })
  after(() => stack.disposeAsync())

  const hears = async (member: Member, of: Member) => ((await member.peer(of))?.packages ?? 0) >= PACKAGES
  const add = async (member: Member, name: string): Promise<string> => {
    await writeFile(join(folder, name), `${name}\n`)
    const path = await store.add(join(folder, name))
    await member.control.add({ paths: [path], single: true, daemonSocket: store.socket })
    return path.slice('/nix/store/'.length).slice(0, 32)
  }
  const known = (hash: string, members: readonly Member[], patience?: number) =>
    until(
      () => `${hash} to be known`,
      async () => (await Promise.all(members.map((each) => each.knows(hash)))).every(Boolean) || undefined,
      patience,
    )
  const received = async () => {
    const all = await Promise.all(mesh.members.map((member) => member.traffic()))
    return all.reduce((sum, each) => sum + each.received, 0)
  }

  test('a partition heals, and only what is new is told', async (t) => {
    const half = [c.host, d.host]
    await mesh.network.split(half)
    const [left, right] = [await add(a, 'left'), await add(d, 'right')]
    await Promise.all([known(left, [b]), known(right, [c])])
    assert.deepEqual([await c.knows(left), await a.knows(right)], [false, false])
    await delay(PARTITION)
    const before = await received()
    await mesh.network.heal(half)
    const healed = performance.now()
    await Promise.all([known(left, [c, d]), known(right, [a, b])])
    const took = Math.round(performance.now() - healed)
    await mesh.connected()
    const bytes = (await received()) - before
    const whole = 4 * PACKAGES * HASH
    t.diagnostic(`known everywhere ${took} ms after healing, for ${bytes} bytes; whole lists are ${whole}`)
    assert.ok(took <= TARGET, `${took} ms`)
    assert.ok(bytes < whole / 4, `${bytes} bytes`)
  })

  test('a node that was restarted or killed comes back, knowing its peers, and catches up', async () => {
    await d.control.addPeer({ address: b.address, name: 'neighbour' })
    await d.node.stop('SIGKILL')
    const hash = await add(a, 'while-away')
    await d.start()
    await known(hash, [d])
    const neighbour = (await d.control.peers()).find(({ name }) => name === 'neighbour')
    assert.equal(neighbour?.origin, 'added')
    await mesh.connected()
  })

  test('a node that has lost its repository catches up, and the others with it', async () => {
    await c.node.stop()
    await rm(c.gachix.repository, { recursive: true })
    await c.start()
    await until(
      () => 'the new node to know what another has',
      async () => (await hears(c, a)) || undefined,
    )
    const hash = await add(c, 'anew')
    await known(hash, [a, b, d])
    const summary = await c.control.sync({ paths: ['p-1', 'p-2'].map(pathOf) })
    assert.equal(summary.added, 2)
    await fsck(c.gachix.repository)
  })

  const pathOf = (name: string) => makePackage(name, file('')).info.storePath.hash
})
