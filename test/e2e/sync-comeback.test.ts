/** A node that is killed while another one pulls from it: when it is started again the pull goes on, else it ends with what is wrong. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { COMEBACK_TIME } from '../../src/sync/limits.ts'
import { noise } from '../support/git-fixture.ts'
import { type Member, MeshHosts } from '../support/mesh-hosts.ts'
import { directory, file, type MadePackage, makePackage } from '../support/packages.ts'
import { collectOutput, until } from '../support/process.ts'

/** Bytes a second that the taking node may get. */
const LIMIT = 1_000_000
/** More than comes at once. */
const large = (name: string, seed: number): MadePackage =>
  makePackage(
    name,
    directory(
      Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`f${i}`, file(noise(200_000, seed + i))])),
    ),
  )
const FIRST = large('first', 0)
const SECOND = large('second', 100)

describe('a node that is killed while another one pulls from it', () => {
  const stack = new AsyncDisposableStack()
  let mesh: MeshHosts
  let giver: Member
  let taker: Member

  before(async () => {
    mesh = stack.use(await MeshHosts.create())
    giver = await mesh.add('giver', { packages: [FIRST, SECOND] })
    taker = await mesh.add('taker', { env: { GACHIX__MESH__DOWNLOAD_LIMIT: String(LIMIT) } })
    await mesh.connected()
  })
  after(() => stack.disposeAsync())

  /** Runs `sync` and kills the giver in the middle of it. */
  async function interrupted({ info }: MadePackage) {
    const before = (await taker.traffic()).received
    const child = taker.gachix.spawn(['sync', info.storePath.toString()])
    const output = collectOutput(child)
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    await until(
      () => `the package to be on its way: ${output()}`,
      async () => (await taker.traffic()).received > before + LIMIT / 2 || undefined,
    )
    await giver.node.stop('SIGKILL')
    return { output, ended }
  }

  test('is waited for, and the pull goes on when it is back', async () => {
    const { output, ended } = await interrupted(FIRST)
    await until(
      () => `the pull to wait: ${output()}`,
      async () => /trying \S+ again in/.test(output()) || undefined,
    )
    await giver.start()
    assert.equal(await ended, 0, output())
    assert.match(output(), /pulled 1 package/)
  })

  test('and stays away ends the command with what is wrong, in time', async () => {
    await mesh.connected()
    const { output, ended } = await interrupted(SECOND)
    const started = performance.now()
    assert.equal(await ended, 1, output())
    const waited = performance.now() - started
    assert.ok(waited > COMEBACK_TIME / 2 && waited < 2 * COMEBACK_TIME, `${waited} ms`)
    assert.match(output(), /second cannot be had: .*giver|cannot be had.*\[ERR_\w+\]/)
  })
})
