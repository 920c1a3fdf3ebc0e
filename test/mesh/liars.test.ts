/** Peers that claim what they lack or give something else: the client is served by an honest one, and the liar is named. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ServedRepository } from '../../src/peers/serve/repository.ts'
import { fsck } from '../support/gachix.ts'
import { type Member, MeshHosts } from '../support/mesh-hosts.ts'
import { type MeshNode, startMeshNode } from '../support/mesh-node.ts'
import { file, makePackage } from '../support/packages.ts'
import { until } from '../support/process.ts'
import { signedBy } from '../support/replica.ts'

const OTHER = makePackage('other', file('another package\n'))
const OTHER_HASH = OTHER.info.storePath.hash

interface Lie {
  readonly name: string
  /** What the client's node says of the liar. */
  readonly offence: RegExp
  readonly serve: (honest: ServedRepository) => ServedRepository
}

/** Bytes that are no pack. */
async function* noPack(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(64 * 1024, 'lies')
}

const LIES: readonly Lie[] = [
  {
    name: 'announces another commit for a package',
    offence: /^lie: /,
    serve: (honest) => ({
      ...honest,
      announced: (hash) => {
        const own = honest.announced(hash)
        const commit = honest.announced(OTHER_HASH)?.commit
        return own && commit && hash !== OTHER_HASH ? { ...own, commit } : own
      },
    }),
  },
  {
    name: 'sends what is no pack',
    offence: /^(lie|protocol): /,
    serve: (honest) => ({ ...honest, pack: () => noPack() }),
  },
  {
    name: 'does not have what it announces',
    offence: /^empty promise: /,
    serve: (honest) => ({ ...honest, announced: () => undefined }),
  },
]

describe('a peer that lies', () => {
  const stack = new AsyncDisposableStack()
  let mesh: MeshHosts
  let client: Member
  let honest: Member
  const packages = LIES.map(({ name }) => makePackage(name.replaceAll(' ', '-'), file(`${name}\n`)))

  before(async () => {
    mesh = stack.use(await MeshHosts.create())
    client = await mesh.add('client')
    honest = await mesh.add('honest', { packages })
  })
  after(() => stack.disposeAsync())

  const announced = (hash: string, by: string) =>
    until(
      () => `${by} to be known to have ${hash}`,
      async () => (await client.control.whoHas(hash)).peers.some(({ id }) => id === by) || undefined,
    )
  const offenceOf = async ({ mesh: { id } }: MeshNode) =>
    (await client.control.peers()).find((peer) => peer.id === id)

  for (const [i, lie] of LIES.entries()) {
    test(`and ${lie.name} is named, and the package comes from another`, async () => {
      const { info, nar } = packages[i]!
      const { hash } = info.storePath
      const liar = stack.use(await startMeshNode({ network: 'team', listen: [], serve: lie.serve }))
      await liar.add([OTHER, { info, nar }].map((each) => ({ ...each, info: signedBy(each.info, mesh.key) })))
      await liar.mesh.add(client.address)
      await announced(hash, liar.mesh.id)
      await assert.rejects(client.control.sync({ paths: [hash], from: liar.mesh.id }))
      const { offence, penalty } = (await offenceOf(liar))!
      assert.match(offence ?? 'none', lie.offence)
      assert.ok(penalty > 0)
      assert.match(await client.gachix.run(['peer', 'list']), /penalty points? for: /)

      await announced(hash, (await honest.control.meshIdentity()).id)
      const { added, sources } = await client.control.sync({ paths: [hash] })
      assert.equal(added, 1)
      assert.deepEqual(Object.keys(sources), [(await honest.control.meshIdentity()).id])
      await fsck(client.gachix.repository)
    })
  }
})
