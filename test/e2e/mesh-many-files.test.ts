/** A package with more files than a peer sends in answer to one request. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MAX_WANTS } from '../../protocol/index.ts'
import { fsck, Gachix } from '../support/gachix.ts'
import { Network } from '../support/network.ts'
import { NixStore } from '../support/nix.ts'
import { until } from '../support/process.ts'

describe('a package of very many files', () => {
  const stack = new AsyncDisposableStack()
  let giver: Gachix
  let taker: Gachix
  let path: string

  before(async () => {
    const network = stack.use(await Network.create())
    const store = stack.use(await NixStore.start())
    const folder = await mkdtemp(join(tmpdir(), 'gachix-many-'))
    stack.defer(() => rm(folder, { recursive: true }))
    await mkdir(join(folder, 'many'))
    for (let index = 0; index <= MAX_WANTS; index++) {
      await writeFile(join(folder, 'many', `file-${index}`), `${index}\n`)
    }
    path = await store.add(join(folder, 'many'))
    const [here, there] = [await network.host('giver'), await network.host('taker')]
    const listen = (address: string) => ({ GACHIX__MESH__LISTEN: `/ip4/${address}/tcp/4042` })
    giver = stack.use(
      await Gachix.create({ host: here, daemonSocket: store.socket, env: listen(here.address) }),
    )
    taker = stack.use(await Gachix.create({ host: there, env: listen(there.address) }))
    for (const gachix of [giver, taker]) await gachix.serve()
    const { command } = JSON.parse(await giver.run(['peer', 'invite', '--json']))
    await taker.run(command.replaceAll("'", '').split(' ').slice(1))
  })
  after(() => stack.disposeAsync())

  test('comes in several requests', async () => {
    await giver.run(['add', path])
    await until(
      () => 'the taker to hear of it',
      async () => ((await taker.attempt(['who-has', path])).code === 0 ? true : undefined),
    )
    const { added } = JSON.parse(await taker.run(['sync', path, '--json']))
    assert.equal(added, 1)
    await fsck(taker.repository)
  })

  test('and status tells what the node holds', async () => {
    const { process: own, mesh } = JSON.parse(await taker.run(['status', '--json']))
    assert.ok(own.rss > own.heapUsed && own.heapUsed > 0)
    assert.ok(own.handles.TCPSocketWrap >= 1, JSON.stringify(own.handles))
    assert.equal(mesh.load.connections, 1)
    assert.ok(mesh.load.streams >= 1)
    assert.match(await taker.run(['status']), /^memory +\d+/m)
  })
})
