/** Narinfos of many packages in one answer: more than comes at once, each whole. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { SecretKey, sign } from '../../../src/nix/signature.ts'
import { eventually, startMeshNode } from '../../support/mesh-node.ts'
import { file, type MadePackage, makePackage } from '../../support/packages.ts'

const KEY = SecretKey.generate('team.test-1')

/** A package whose narinfo has some 20 KB. */
function signedOften(number: number): MadePackage {
  const made = makePackage(`package-${number}`, file(`${number}\n`))
  const [, bytes] = sign(KEY, made.info).split(':')
  const signatures = Array.from({ length: 200 }, (_, i) => `key-${i}:${bytes}`)
  return { ...made, info: { ...made.info, signatures } }
}

it('a peer gives narinfos by the megabyte, and all that came before stay as they are', async () => {
  const packages = Array.from({ length: 100 }, (_, i) => signedOften(i))
  await using node = await startMeshNode()
  await node.add(packages)
  await using other = await startMeshNode({ peers: [node.address] })
  const hashes = packages.map(({ info }) => info.storePath.hash)
  await eventually('the packages to be known', () => other.knows(node)?.packages === packages.length)
  const session = await other.mesh.source(node.mesh.id).open()
  const narinfos = await Array.fromAsync(session.narinfos(hashes))
  assert.equal(narinfos.length, packages.length)
  for (const { hash, blob } of narinfos) {
    const oid = node.store.announced(hash)!.narinfo
    const { data } = await node.store.objects.read(oid)
    assert.ok(data.equals(blob), `the narinfo of ${hash}`)
  }
})
