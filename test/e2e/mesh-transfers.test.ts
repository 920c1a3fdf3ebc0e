/** What goes over the wire between real nodes on hosts of their own: only what is missing, no faster than allowed, nothing private. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { noise } from '../support/git-fixture.ts'
import { type Member, MeshHosts } from '../support/mesh-hosts.ts'
import { directory, file, type MadePackage, makePackage } from '../support/packages.ts'
import { until } from '../support/process.ts'

/** Bytes a second that the taking node may get. */
const LIMIT = 2_000_000
/** Files of a package, and bytes of each, which nothing can compress. */
const FILES = 60
const FILE_SIZE = 50_000
/** Files of it that differ from one generation to the next. */
const CHANGED = 6
/** Bytes of trees, commits and narinfos of a package of `FILES` files, and of what is said about them. */
const OVERHEAD = 40_000
/** By how much Noise, yamux, TCP and Ethernet make more of what is sent, and what else goes on meanwhile. */
const WIRE = { factor: 1.1, more: 100_000 }

const generation = (name: string, changed: number): MadePackage =>
  makePackage(
    name,
    directory(
      Object.fromEntries(
        Array.from({ length: FILES }, (_, i) => [
          `f${i}`,
          file(noise(FILE_SIZE, i < changed ? 10_000 + i : i)),
        ]),
      ),
    ),
  )
const A = generation('system-a', 0)
const B = generation('system-b', CHANGED)
const LARGE = makePackage('large', file(noise(8_000_000, 77)))
const SECRET = makePackage('secret-tool', file('for nobody else\n'))
/** Refers to something private, so that it cannot be shared either. */
const USER = makePackage('public-user', file('uses a secret tool\n'), ['secret-tool'])
const OPEN = makePackage('public-tool', file('for everybody\n'))
const SILENT = makePackage('public-silent', file('of a node that shares nothing\n'))

const hashOf = ({ info }: MadePackage) => info.storePath.hash

describe('between nodes', () => {
  const stack = new AsyncDisposableStack()
  let mesh: MeshHosts
  let taker: Member
  let old: Member
  let recent: Member
  let secretive: Member
  let silent: Member

  before(async () => {
    mesh = stack.use(await MeshHosts.create())
    taker = await mesh.add('taker', { env: { GACHIX__MESH__DOWNLOAD_LIMIT: String(LIMIT) } })
    ;[old, recent, secretive, silent] = await Promise.all([
      mesh.add('old', { packages: [A] }),
      mesh.add('recent', { packages: [A, B, LARGE] }),
      mesh.add('secretive', {
        packages: [SECRET, USER, OPEN],
        env: { GACHIX__MESH__SHARE: 'public-*' },
      }),
      mesh.add('silent', { packages: [SILENT], env: { GACHIX__MESH__SHARE: 'off' } }),
    ])
    await mesh.connected()
    await until(
      () => 'all that is shared to be known',
      async () => {
        const known = await Promise.all([A, B, LARGE, OPEN].map((made) => taker.knows(hashOf(made))))
        return known.every(Boolean) || undefined
      },
    )
  })
  after(() => stack.disposeAsync())

  /** Bytes that the taking node's host has received, whatever they are. */
  const onTheWire = () =>
    Number(readFileSync(`/sys/class/net/${taker.host.port}/statistics/tx_bytes`, 'utf8'))
  /** Pulls one package from a peer. @returns the bytes that came from peers and on the wire, and the seconds */
  async function pulled(made: MadePackage, from: Member) {
    const [received, wire, started] = [(await taker.traffic()).received, onTheWire(), performance.now()]
    const { added } = await taker.control.sync({
      paths: [hashOf(made)],
      from: (await from.control.meshIdentity()).id,
    })
    const seconds = (performance.now() - started) / 1000
    assert.equal(added, 1)
    return { received: (await taker.traffic()).received - received, wire: onTheWire() - wire, seconds }
  }
  const narinfo = async (member: Member, made: MadePackage) =>
    (await fetch(`${member.node.url}/${hashOf(made)}.narinfo`)).status

  test('a generation that is there already makes the next one cost what differs', async (t) => {
    const first = await pulled(A, old)
    assert.ok(first.received >= FILES * FILE_SIZE, 'the first one travels whole')
    const second = await pulled(B, recent)
    const differs = CHANGED * FILE_SIZE
    t.diagnostic(
      `A: ${first.received} bytes; B: ${second.received}, ${second.wire} on the wire; ${differs} differ`,
    )
    assert.ok(second.received >= differs)
    assert.ok(second.received <= differs + OVERHEAD, `${second.received} bytes for ${differs} that differ`)
    assert.ok(second.wire <= second.received * WIRE.factor + WIRE.more, `${second.wire} bytes on the wire`)
  })

  test('a cap on what is taken holds', async (t) => {
    const { received, seconds } = await pulled(LARGE, recent)
    // What was not used before may come at once.
    const rate = (received - LIMIT) / seconds
    t.diagnostic(`${Math.round(rate)} bytes a second of ${LIMIT}`)
    assert.ok(received >= 8_000_000)
    assert.ok(rate <= 1.1 * LIMIT, `${rate} bytes a second`)
  })

  test('what one keeps private its own clients get, and nobody at another node', async () => {
    assert.equal(await narinfo(taker, OPEN), 200)
    for (const made of [SECRET, USER]) {
      assert.equal(await narinfo(secretive, made), 200)
      assert.equal(await narinfo(taker, made), 404)
      assert.deepEqual((await taker.control.whoHas(hashOf(made))).peers, [])
      const from = (await secretive.control.meshIdentity()).id
      await assert.rejects(taker.control.sync({ paths: [hashOf(made)], from }))
    }
    assert.equal((await taker.peer(secretive))?.packages, 1)
  })

  test('one that shares nothing takes, and gives nothing', async () => {
    assert.equal(await narinfo(silent, SILENT), 200)
    assert.equal(await narinfo(taker, SILENT), 404)
    assert.deepEqual((await taker.control.whoHas(hashOf(SILENT))).peers, [])
    const { id } = await silent.control.meshIdentity()
    await assert.rejects(taker.control.sync({ paths: [hashOf(SILENT)], from: id }))
    const known = await taker.peer(silent)
    assert.deepEqual([known?.state, known?.packages ?? 0], ['connected', 0])
    // Not to tell of oneself is nothing to be blamed for.
    assert.equal(known?.penalty, 0)
    assert.equal((await silent.control.sync({ paths: [hashOf(OPEN)] })).added, 1)
    assert.equal(await narinfo(silent, OPEN), 200)
  })
})
