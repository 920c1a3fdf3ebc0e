/** What a client gets whose node's peers die, vanish, or lie while they serve. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { formatHash } from '../../src/nix/hash.ts'
import { parseNarInfo } from '../../src/nix/narinfo.ts'
import { noise } from '../support/git-fixture.ts'
import { type Member, MeshHosts } from '../support/mesh-hosts.ts'
import { directory, file, type MadePackage, makePackage } from '../support/packages.ts'
import { until } from '../support/process.ts'

/** Milliseconds in which a request ends after the last hope is gone, and what a loaded machine takes on top. */
const PATIENCE = 2500 + 2500
/** Bytes a second that each peer sends: slow enough to be struck in the middle. */
const SPEED = 4_000_000

/** A package of 8 MB in many files, so that two peers can share the work. */
const large = (name: string, seed: number): MadePackage =>
  makePackage(
    name,
    directory(
      Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`f${i}`, file(noise(100_000, seed + i))])),
    ),
  )

const KILLED = large('killed', 100)
const VANISHED = large('vanished', 200)
const ALONE = large('alone', 300)

describe('a peer that is struck while it serves', () => {
  const stack = new AsyncDisposableStack()
  let mesh: MeshHosts
  let client: Member
  let first: Member
  let second: Member

  before(async () => {
    mesh = stack.use(await MeshHosts.create({ env: { GACHIX__MESH__UPLOAD_LIMIT: String(SPEED) } }))
    client = await mesh.add('client')
    ;[first, second] = await Promise.all([
      mesh.add('first', { packages: [KILLED, VANISHED] }),
      mesh.add('second', { packages: [KILLED, VANISHED, ALONE] }),
    ])
    await mesh.connected()
  })
  after(() => stack.disposeAsync())

  /** Asks the client's node for a package's NAR and strikes once some of it has come. */
  async function fetchAndStrike({ info }: MadePackage, strike: () => Promise<void>) {
    const { hash } = info.storePath
    await until(
      () => 'the package to be known',
      async () => (await client.knows(hash)) || undefined,
    )
    const { received } = await client.traffic()
    const narinfo = await fetch(`${client.node.url}/${hash}.narinfo`)
    assert.equal(narinfo.status, 200)
    const { url } = parseNarInfo(await narinfo.text())
    const answer = fetch(`${client.node.url}/${url}`).then(async (response) => {
      const body = Buffer.from(await response.arrayBuffer())
      return { status: response.status, body, at: performance.now() }
    })
    await until(
      () => 'some of it to have come',
      async () => (await client.traffic()).received - received > 1_000_000 || undefined,
    )
    await strike()
    const struck = performance.now()
    const { status, body, at } = await answer
    return { status, took: at - struck, right: narHashOf(body) === formatHash(info.narHash, 'base16') }
  }

  test('that is killed: another one finishes', async () => {
    const { status, right } = await fetchAndStrike(KILLED, () => first.node.stop('SIGKILL'))
    assert.deepEqual([status, right], [200, true])
    await first.start()
    await mesh.connected()
  })

  test('that vanishes without a word: another one finishes', async (t) => {
    const { status, right, took } = await fetchAndStrike(VANISHED, () => first.host.unplug())
    t.diagnostic(`served ${Math.round(took)} ms later`)
    assert.deepEqual([status, right], [200, true])
    await first.host.plug()
    await mesh.connected()
  })

  test('that vanishes and was the only one: the client is told soon', async (t) => {
    const { status, took } = await fetchAndStrike(ALONE, () => second.host.unplug())
    t.diagnostic(`a 404 after ${Math.round(took)} ms`)
    assert.equal(status, 404)
    assert.ok(took < PATIENCE, `${took} ms`)
    await second.host.plug()
    await mesh.connected()
    await client.control.sync({ paths: [ALONE.info.storePath.hash] })
  })
})

function narHashOf(nar: Buffer): string {
  return formatHash({ algorithm: 'sha256', digest: createHash('sha256').update(nar).digest() }, 'base16')
}
