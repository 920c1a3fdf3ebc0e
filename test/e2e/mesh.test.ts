/**
 * A mesh of five nodes, each on a host of its own: one bootstrap address is enough to join, what one node adds all hear of, and
 * a real Nix client on any of them gets it with signatures required.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fsck, Gachix, type GachixNode } from '../support/gachix.ts'
import { type Host, Network } from '../support/network.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { eachOf, until } from '../support/process.ts'
import { checkSubstitution } from '../support/substitution.ts'

interface Member {
  readonly host: Host
  readonly gachix: Gachix
  readonly node: GachixNode
}

describe('a mesh of five nodes', () => {
  const stack = new AsyncDisposableStack()
  const members: Member[] = []
  let store: NixStore
  let root: string
  let closure: PathFacts[]

  before(async () => {
    const network = stack.use(await Network.create())
    store = stack.use(await NixStore.start())
    ;[root] = (await store.build(['everything'])) as [string]
    closure = await store.facts(await store.closure([root]))
    const start = async (name: string): Promise<Member> => {
      const host = await network.host(name)
      const gachix = stack.use(
        await Gachix.create({
          host,
          env: { GACHIX__MESH__NETWORK: 'team', GACHIX__MESH__LISTEN: `/ip4/${host.address}/tcp/4042` },
        }),
      )
      return { host, gachix, node: await gachix.serve() }
    }
    members.push(...(await Promise.all(['a', 'b', 'c', 'd', 'e'].map(start))))
  })
  after(() => stack.disposeAsync())

  const json = async (member: Member, args: readonly string[]) =>
    JSON.parse(await member.gachix.run([...args, '--json']))

  test('an invitation makes the others join, and they find each other', async () => {
    const [first, ...others] = members as [Member, ...Member[]]
    const { command } = await json(first, ['peer', 'invite'])
    const [program, ...args] = command.replaceAll("'", '').split(' ')
    assert.equal(program, 'gachix')
    for (const { gachix } of others) await gachix.run(args)
    await until(
      () => 'everybody knows everybody',
      async () => {
        for (const member of members) {
          const { mesh } = await json(member, ['status'])
          if (mesh.connected < members.length - 1) return undefined
        }
        return true
      },
      60_000,
    )
  })

  test('what one adds all the others hear of', async () => {
    const [first, ...others] = members as [Member, ...Member[]]
    await first.gachix.run(['add', root], { NIX_DAEMON_SOCKET_PATH: store.socket })
    await until(
      () => 'all have heard of it',
      async () => {
        for (const member of others) {
          const answer = await member.gachix.attempt(['who-has', root, '--json'])
          if (answer.code !== 0) return undefined
          assert.equal(JSON.parse(answer.stdout.toString()).here, false)
        }
        return true
      },
    )
  })

  test('a client substitutes it from any of them, which pulls the closure', async () => {
    await eachOf(members.slice(1, 3), 1, async ({ gachix, node }) => {
      const publicKeys = [(await gachix.run(['key', 'show'])).trim()]
      await checkSubstitution({
        cache: { url: node.url, publicKeys },
        roots: [root],
        closure,
        with: 'nix-store -r',
      })
      assert.equal((await gachix.run(['list'])).trim().split('\n').length, closure.length)
      await fsck(gachix.repository)
    })
  })

  test('sync pulls from one peer, or from all that have it', async () => {
    const { gachix } = members[3]!
    const summary = await json(members[3]!, ['sync', root])
    assert.equal(summary.added, closure.length)
    await fsck(gachix.repository)
    const peers = await json(members[3]!, ['peer', 'list'])
    assert.equal(peers.length, 4)
    assert.ok(peers.every((peer: { state: string }) => peer.state === 'connected'))
    assert.ok(peers.some((peer: { bytesIn: number }) => peer.bytesIn > 0))
  })
})
