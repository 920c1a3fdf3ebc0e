/** Peers of a node: added, remembered, pinged, let in or not, named for what they did. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { allConnected, eventually, startMeshNode } from '../../support/mesh-node.ts'
import { file, makePackage } from '../../support/packages.ts'

describe('the peers of a node', () => {
  it('are added by host and port, and remembered', async () => {
    const path = await mkdtemp(join(tmpdir(), 'gachix-mesh-'))
    await using other = await startMeshNode()
    {
      await using node = await startMeshNode({ path })
      const added = await node.mesh.add(other.address, { name: 'office' })
      assert.deepEqual([added.state, added.name, added.id], ['connected', 'office', other.mesh.id])
      assert.ok((await node.mesh.ping('office')) >= 0)
      await eventually('the other to know', () => other.knows(node)?.state === 'connected')
      assert.ok(node.knows(other)!.bytesIn > 0)
    }
    await eventually('the other to notice', () => other.mesh.peers()[0]?.state !== 'connected')
    assert.match(other.mesh.peers()[0]!.failure!, /closed|cannot|ECONNREFUSED|connection/)
    await using again = await startMeshNode({ path })
    await eventually('it to connect again', () => again.knows(other)?.state === 'connected')
    assert.equal(again.knows(other)!.name, 'office')
    await again.mesh.remove('office')
    assert.equal(again.mesh.peers().filter(({ name }) => name === 'office').length, 0)
    await assert.rejects(again.mesh.ping('office'), { code: 'ERR_UNKNOWN_PEER' })
    await rm(path, { recursive: true, force: true })
  })

  it('are named with the reason when they are not there, and found when they come back', async () => {
    const first = await startMeshNode()
    const { address, mesh } = first
    const port = address.split(':')[1]
    await first.close()
    await using node = await startMeshNode()
    const added = await node.mesh.add(address, { name: 'away' })
    assert.equal(added.state, 'waiting')
    assert.match(added.failure!, /ECONNREFUSED/)
    await assert.rejects(node.mesh.ping('away'), { code: 'ERR_PEER_UNREACHABLE', message: /ECONNREFUSED/ })
    await using back = await startMeshNode({ listen: [`/ip4/127.0.0.1/tcp/${port}`] })
    await eventually('it to be found', () => node.knows(back)?.state === 'connected')
    assert.notEqual(back.mesh.id, mesh.id)
  })

  it('are let in by the allow list, on both sides, and nobody else is', async () => {
    await using open = await startMeshNode()
    await using closed = await startMeshNode({ policy: 'allow-list' })
    const refused = await open.mesh.add(closed.address)
    assert.equal(refused.state, 'waiting')
    assert.deepEqual(closed.mesh.peers(), [])
    await using friend = await startMeshNode()
    assert.equal((await closed.mesh.add(friend.address)).state, 'connected')
    await eventually('the friend to know', () => friend.knows(closed)?.state === 'connected')
    assert.deepEqual(
      closed.mesh.peers().map(({ id }) => id),
      [friend.mesh.id],
    )
    // The friend tells of others, who are not let in for that.
    await friend.mesh.add(open.address)
    await eventually('the others to connect', () => friend.knows(open)?.state === 'connected')
    assert.equal(closed.knows(open), undefined)
    assert.deepEqual((await closed.mesh.invitation()).addresses, closed.mesh.addresses)
  })

  it('are banned for lies, and named', async () => {
    await using node = await startMeshNode()
    await using liar = await startMeshNode({ peers: [node.address] })
    await using honest = await startMeshNode({ peers: [node.address] })
    await eventually('all to be connected', () => allConnected([node, liar, honest]))
    const { hash } = makePackage('x', file('x')).info.storePath
    for (let i = 0; i < 3; i++) node.mesh.report(liar.mesh.id, hash, 'lied', 'objects that are not a package')
    await eventually('the liar to be gone', () => node.knows(liar)?.state === 'banned')
    const status = node.knows(liar)!
    assert.match(status.offence!, /^lie: objects that are not a package$/)
    assert.ok(status.bannedUntil! > Date.now())
    await eventually('the liar to be refused', () => liar.knows(node)?.state === 'waiting')
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.equal(node.knows(liar)?.state, 'banned')
    assert.equal(node.knows(honest)?.state, 'connected')
    assert.equal((await node.mesh.add(liar.address)).state, 'connected', 'its operator forgives')
  })
})

describe('a private package', () => {
  it('is named nowhere, and goes into no pack', async () => {
    await using node = await startMeshNode({ share: ['open-*'] })
    await using other = await startMeshNode({ peers: [node.address] })
    const open = makePackage('open-1', file('for all\n'))
    const secret = makePackage('secret-1', file('for nobody\n'))
    const leak = makePackage('open-2', file('with a secret\n'), ['secret-1'])
    await node.add([open, secret, leak])
    const hashes = [open, secret, leak].map(({ info }) => info.storePath.hash)
    await eventually('what is shared to be known', () => other.mesh.whoHas(hashes[0]!).length > 0)
    await other.mesh.inquire(hashes)
    assert.deepEqual(other.mesh.whoHas(hashes[1]!), [])
    assert.deepEqual(other.mesh.whoHas(hashes[2]!), [])
    assert.equal(other.knows(node)!.packages, 1)
    const session = await other.mesh.source(node.mesh.id).open()
    assert.deepEqual([...(await session.packages(hashes)).keys()], [hashes[0]])
    assert.deepEqual(
      (await Array.fromAsync(session.list())).map(({ hash }) => hash),
      [hashes[0]],
    )
    const narinfos = await Array.fromAsync(session.narinfos(hashes))
    assert.deepEqual(
      narinfos.map(({ hash }) => hash),
      [hashes[0]],
    )
    assert.match(Buffer.from(narinfos[0]!.blob).toString(), /StorePath: .*open-1/)
    for (const hash of hashes.slice(1)) {
      const { commit, narinfo } = node.store.announced(hash)!
      for (const oid of [commit!, narinfo]) {
        await assert.rejects(Array.fromAsync(session.fetch({ wants: [oid], haves: [] })), {
          code: 'ERR_PEER_REFUSED',
        })
      }
    }
    const commit = node.store.announced(hashes[0]!)!.commit!
    assert.ok((await Array.fromAsync(session.fetch({ wants: [commit], haves: [] }))).length > 0)
  })

  it('is every package of a node that shares nothing, and it gets those of others', async () => {
    await using silent = await startMeshNode({ share: 'off' })
    await using other = await startMeshNode({ peers: [silent.address] })
    const mine = makePackage('mine', file('mine\n'))
    const theirs = makePackage('theirs', file('theirs\n'))
    await silent.add([mine])
    await other.add([theirs])
    const news: string[] = []
    silent.mesh.onNews((peer, hashes) => news.push(...hashes.map((hash) => `${peer} ${hash}`)))
    const { hash } = theirs.info.storePath
    await eventually('it to know', () => silent.mesh.candidates(hash).length > 0)
    await other.mesh.inquire([mine.info.storePath.hash])
    assert.deepEqual(other.mesh.whoHas(mine.info.storePath.hash), [])
    assert.equal(silent.mesh.candidates(hash)[0]!.id, other.mesh.id)
  })
})
