/** The commands about peers, as people and scripts use them. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { SecretKey } from '../../src/nix/signature.ts'
import { Gachix } from '../support/gachix.ts'
import { type Member, MeshHosts } from '../support/mesh-hosts.ts'
import { file, makePackage } from '../support/packages.ts'

const TOOL = makePackage('tool', file('a tool\n'))

describe('the commands about peers', () => {
  const stack = new AsyncDisposableStack()
  let here: Member
  let there: Member

  before(async () => {
    const mesh = stack.use(await MeshHosts.create())
    here = await mesh.add('here')
    there = await mesh.add('there', { peers: [], packages: [TOOL] })
  })
  after(() => stack.disposeAsync())

  const run = (...args: string[]) => here.gachix.run(args)
  const json = async (...args: string[]) => JSON.parse(await run(...args, '--json'))
  const refused = async (args: string[], code: string) => {
    const { code: status, stderr } = await here.gachix.attempt(args)
    assert.ok(status === 1 || status === 2, `exit ${status}`)
    assert.match(stderr, new RegExp(`\\[${code}\\]`))
  }

  test('peer id is for scripts', async () => {
    const { id, addresses, ...rest } = await json('peer', 'id')
    assert.deepEqual(rest, {})
    assert.match(id, /^12D3KooW/)
    assert.deepEqual(addresses, [`/ip4/${here.host.address}/tcp/4042/p2p/${id}`])
    assert.deepEqual((await run('peer', 'id')).trim().split('\n'), [id, ...addresses])
  })

  test('peer add connects, and is remembered', async () => {
    assert.match(await run('peer', 'add', there.address, '--name', 'there'), /^added there: connected\n$/)
    assert.match(await run('peer', 'ping', 'there'), /^there: \d+\.\d ms\n$/)
    const [heading, row] = (await run('peer', 'list')).split('\n')
    assert.match(heading!, /^peer +state +latency +packages +in +out +last seen/)
    assert.match(row!, /^there +connected /)
  })

  test('peer add of one that cannot be reached says why, and is no failure', async () => {
    // Nobody listens on this port of a host that is there.
    const address = `${there.host.address}:4999`
    assert.match(await run('peer', 'add', address), /: waiting \(.*(ECONNREFUSED|refused)/s)
    const unreached = (await json('peer', 'list')).find(({ addresses }: { addresses: string[] }) =>
      addresses.some((each) => each.endsWith('/4999')),
    )
    assert.ok(unreached.failure.length > 0 && unreached.retryAt > Date.now() - 60_000)
    assert.match(await run('peer', 'remove', address), /^removed /)
  })

  test('what cannot be done has a code', async () => {
    await refused(['peer', 'add', 'no address'], 'ERR_PEER_ADDRESS')
    await refused(['peer', 'remove', 'nobody'], 'ERR_UNKNOWN_PEER')
    await refused(['peer', 'ping', 'nobody'], 'ERR_UNKNOWN_PEER')
    await refused(['sync', TOOL.info.storePath.hash, '--from', 'nobody'], 'ERR_UNKNOWN_SOURCE')
    await refused(['who-has', '0'.repeat(32)], 'ERR_NOT_FOUND')
  })

  test('sync --from takes from the named peer', async () => {
    const summary = await json('sync', TOOL.info.storePath.hash, '--from', 'there')
    assert.deepEqual([summary.added, summary.sources], [1, { there: 1 }])
    assert.equal((await json('who-has', TOOL.info.storePath.hash)).here, true)
  })

  test('keys are trusted and not', async () => {
    const key = SecretKey.generate('other-1').publicKey.toString()
    const keys = async () => (await json('trust', 'list')).map((each: { key: string }) => each.key)
    await run('trust', 'add', key)
    assert.ok((await keys()).includes(key))
    await run('trust', 'remove', 'other-1')
    assert.ok(!(await keys()).includes(key))
  })

  test('peer remove forgets', async () => {
    await run('peer', 'remove', 'there')
    await refused(['peer', 'ping', 'there'], 'ERR_UNKNOWN_PEER')
  })

  test('without a running node there is nobody to ask', async () => {
    await using alone = await Gachix.create()
    const commands = [
      'peer id',
      'peer list',
      'peer invite',
      `peer add ${there.address}`,
      'peer remove x',
      'peer ping x',
    ]
    for (const command of [...commands, `who-has ${'0'.repeat(32)}`]) {
      const { code, stderr } = await alone.attempt(command.split(' '))
      assert.deepEqual([code, /\[(\w+)\]/.exec(stderr)?.[1]], [1, 'ERR_NODE_NOT_RUNNING'], command)
    }
  })
})
