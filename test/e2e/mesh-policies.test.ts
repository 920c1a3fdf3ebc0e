/** What a node keeps to itself, whom it lets in, what it fetches by itself, and how fast it gives. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { noise } from '../support/git-fixture.ts'
import { type Member, MeshHosts } from '../support/mesh-hosts.ts'
import { eventually, type MeshNode, type MeshNodeOptions, startMeshNode } from '../support/mesh-node.ts'
import { directory, file, makePackage } from '../support/packages.ts'
import { until } from '../support/process.ts'
import { readRefs } from '../support/refs.ts'

const LIMIT = 2_000_000
const PUBLIC = makePackage('public-tool', file('for everybody\n'))
const LARGE = makePackage('public-large', directory({ data: file(noise(6_000_000, 1)) }))
const PRIVATE = makePackage('private-tool', file('for nobody else\n'))
/** Refers to something private, so that it cannot be shared either. */
const USER = makePackage('public-user', file('uses a private tool\n'), ['private-tool'])

const hashOf = ({ info }: { info: { storePath: { hash: string } } }) => info.storePath.hash
const swarmKey = () => `/key/swarm/psk/1.0.0/\n/base16/\n${randomBytes(32).toString('hex')}\n`

describe('the policies of a node', () => {
  const stack = new AsyncDisposableStack()
  let mesh: MeshHosts
  let owner: Member
  let folder: string

  before(async () => {
    mesh = stack.use(await MeshHosts.create())
    folder = await mkdtemp(join(tmpdir(), 'gachix-policies-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    owner = await mesh.add('owner', {
      packages: [PUBLIC, LARGE, PRIVATE, USER],
      env: { GACHIX__MESH__SHARE: 'public-*', GACHIX__MESH__UPLOAD_LIMIT: String(LIMIT) },
    })
  })
  after(() => stack.disposeAsync())

  /** A node on this machine that does not listen, as one behind NAT. */
  const guest = async (options: MeshNodeOptions = {}): Promise<MeshNode> =>
    stack.use(await startMeshNode({ network: 'team', listen: [], ...options }))

  test('what is private is named nowhere and given to nobody', async () => {
    const node = await guest()
    const { id, state } = await node.mesh.add(owner.address)
    assert.equal(state, 'connected')
    await eventually('the inventory to be known', () => node.mesh.whoHas(hashOf(PUBLIC)).length === 1)
    const secret = [hashOf(PRIVATE), hashOf(USER)]
    await node.mesh.inquire(secret)
    assert.deepEqual(
      secret.flatMap((hash) => node.mesh.whoHas(hash)),
      [],
    )
    assert.equal(node.mesh.peers()[0]!.packages, 2)

    const session = await node.mesh.source(id!).open()
    assert.equal((await session.packages(secret)).size, 0)
    const listed: string[] = []
    for await (const { hash } of session.list()) listed.push(hash)
    assert.deepEqual(listed.sort(), [hashOf(PUBLIC), hashOf(LARGE)].sort())
    // Not by their ids either, should somebody have learnt these.
    for (const oid of await readRefs(owner.gachix.repository, hashOf(PRIVATE))) {
      await assert.rejects(async () => {
        for await (const _ of session.fetch({ wants: [oid], haves: [] }));
      }, `${oid} is not given`)
    }
    await session.close()
  })

  test('a mirror fetches by itself what it may have', async () => {
    const mirror = await mesh.add('mirror', { env: { GACHIX__MESH__SYNC: 'mirror' } })
    const here = async (hash: string) => (await mirror.control.whoHas(hash)).here
    await until(
      () => 'the shared packages to arrive',
      async () => ((await here(hashOf(PUBLIC))) && (await here(hashOf(LARGE)))) || undefined,
    )
    assert.equal(await here(hashOf(PRIVATE)), false)
  })

  test('one with patterns fetches what they name', async () => {
    const picky = await mesh.add('picky', { env: { GACHIX__MESH__SYNC: '*-tool' } })
    const here = async ({ info }: typeof PUBLIC) => (await picky.control.whoHas(info.storePath.hash)).here
    await until(
      () => 'the tool to arrive',
      async () => (await here(PUBLIC)) || undefined,
    )
    assert.equal(await here(LARGE), false)
  })

  test('a cap on what is sent holds', async (t) => {
    const node = await guest()
    const { id } = await node.mesh.add(owner.address)
    const session = await node.mesh.source(id!).open()
    const commit = (await session.packages([hashOf(LARGE)])).get(hashOf(LARGE))!.commit!
    // What was not used before may come at once: it counts from there.
    let bytes = -LIMIT
    let started = 0
    for await (const chunk of session.fetch({ wants: [commit], haves: [] })) {
      bytes += chunk.length
      if (bytes <= 0) started = performance.now()
    }
    const rate = (bytes / (performance.now() - started)) * 1000
    await session.close()
    t.diagnostic(`${Math.round(rate)} bytes a second of ${LIMIT}`)
    assert.ok(rate <= 1.2 * LIMIT, `${rate} bytes a second`)
  })

  test('several nodes behind one address are several peers', async () => {
    const nodes = [await guest(), await guest()]
    for (const node of nodes) await node.mesh.add(owner.address)
    const connected = (await owner.control.peers()).filter(({ state }) => state === 'connected')
    for (const node of nodes) assert.ok(connected.some(({ id }) => id === node.mesh.id))
  })

  test('a node of another network is not let in', async () => {
    const stranger = await guest({ network: 'other' })
    const { state, failure } = await stranger.mesh.add(owner.address)
    assert.equal(state, 'waiting')
    assert.match(failure!, /not of this node's network/)
  })

  test('a closed mesh lets in who is named and has the key', async () => {
    const key = swarmKey()
    await writeFile(join(folder, 'swarm.key'), key, { mode: 0o600 })
    const friend = await guest({ preSharedKey: Buffer.from(key) })
    const closed = await mesh.add('closed', {
      peers: [],
      packages: [PUBLIC],
      env: {
        GACHIX__MESH__POLICY: 'allow-list',
        GACHIX__MESH__ALLOW: friend.mesh.id,
        GACHIX__MESH__PRE_SHARED_KEY_PATH: join(folder, 'swarm.key'),
      },
    })
    assert.equal((await friend.mesh.add(closed.address)).state, 'connected')
    for (const preSharedKey of [key, swarmKey()]) {
      const stranger = await guest({ preSharedKey: Buffer.from(preSharedKey) })
      const { state, id } = await stranger.mesh.add(closed.address)
      assert.notEqual(state, 'connected')
      await stranger.mesh.inquire([hashOf(PUBLIC)])
      assert.deepEqual(stranger.mesh.whoHas(hashOf(PUBLIC)), [], id)
    }
    const outsider = await guest()
    assert.notEqual((await outsider.mesh.add(closed.address)).state, 'connected')
  })
})
