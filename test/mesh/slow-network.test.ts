/** Five nodes that are 50 ms from each other, on lines that lose one packet in a hundred. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fsck } from '../support/gachix.ts'
import { type Member, MeshHosts } from '../support/mesh-hosts.ts'
import { NixStore } from '../support/nix.ts'
import { until } from '../support/process.ts'
import { checkSubstitution } from '../support/substitution.ts'

/** Packages that are added one after the other. */
const ADDED = 10
/** Milliseconds in which all have to hear of each. */
const TARGET = 2000

describe('five nodes at a round trip of 50 ms with a loss of 1 %', () => {
  const stack = new AsyncDisposableStack()
  let mesh: MeshHosts
  let store: NixStore
  let folder: string

  before(async () => {
    mesh = stack.use(await MeshHosts.create({ delay: 25, loss: 0.01 }))
    store = stack.use(await NixStore.start())
    folder = await mkdtemp(join(tmpdir(), 'gachix-tiny-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    await mesh.add('a')
    await Promise.all(['b', 'c', 'd', 'e'].map((name) => mesh.add(name)))
    await mesh.connected()
  })
  after(() => stack.disposeAsync())

  test('are as far from each other as said', async () => {
    const [first, second] = mesh.members as [Member, Member]
    const { id } = await second.control.meshIdentity()
    const pings: number[] = []
    for (let i = 0; i < 5; i++) pings.push(await first.control.pingPeer(id))
    assert.ok(Math.min(...pings) >= 50, `round trips of ${pings} ms`)
  })

  test('hear of a package within two seconds', async (t) => {
    const [first, ...others] = mesh.members as [Member, ...Member[]]
    const { id } = await first.control.meshIdentity()
    const announced = async (member: Member) =>
      (await member.control.peers()).find((peer) => peer.id === id)?.packages ?? 0
    const times: number[] = []
    for (let i = 1; i <= ADDED; i++) {
      const file = join(folder, `tiny-${i}`)
      await writeFile(file, `tiny package ${i}\n`)
      const path = await store.add(file)
      await first.control.add({ paths: [path], single: true, daemonSocket: store.socket })
      const added = performance.now()
      await Promise.all(
        others.map(async (member) => {
          // Not by asking who has it: a node that does not know asks around.
          await until(
            () => `${member.name} to hear of package ${i}`,
            async () => (await announced(member)) >= i || undefined,
          )
          times.push(performance.now() - added)
          assert.equal(await member.knows(path.slice('/nix/store/'.length).slice(0, 32)), true)
        }),
      )
    }
    times.sort((a, b) => a - b)
    const [p50, p99] = [0.5, 0.99].map((part) => Math.round(times[Math.floor(times.length * part)]!))
    t.diagnostic(`from the end of add until another node knows: p50 ${p50} ms, p99 ${p99} ms`)
    assert.ok(p99! <= TARGET, `p99 ${p99} ms`)
  })

  test('give a real client on any of them what one of them has', async () => {
    const [root] = (await store.build(['everything'])) as [string]
    const closure = await store.facts(await store.closure([root]))
    const [first, ...others] = mesh.members as [Member, ...Member[]]
    await first.gachix.run(['add', root], { NIX_DAEMON_SOCKET_PATH: store.socket })
    for (const { gachix, node } of [others[0]!, others[3]!]) {
      const publicKeys = [(await gachix.run(['key', 'show'])).trim()]
      await checkSubstitution({
        cache: { url: node.url, publicKeys },
        roots: [root],
        closure,
        with: 'nix-store -r',
      })
      await fsck(gachix.repository)
    }
  })
})
