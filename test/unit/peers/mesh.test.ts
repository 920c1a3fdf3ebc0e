/** Several nodes of a mesh, each with its repository and its swarm, over real connections. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { allConnected, eventually, type MeshNode, startMeshNode } from '../../support/mesh-node.ts'
import { file, makePackage } from '../../support/packages.ts'

describe('nodes of a mesh', () => {
  const nodes: MeshNode[] = []

  before(async () => {
    const first = await startMeshNode()
    nodes.push(first)
    for (let i = 0; i < 4; i++) nodes.push(await startMeshNode({ peers: [first.address] }))
  })
  after(() => Promise.all(nodes.map((node) => node.close())))

  it('find all others from one address', async () => {
    await eventually('everybody to be connected', () => allConnected(nodes))
  })

  it('tell each other of a new package', async () => {
    const made = makePackage('news', file('news\n'))
    await nodes[0]!.add([made])
    const { hash } = made.info.storePath
    await eventually('everybody to know', () =>
      nodes.slice(1).every(({ mesh }) => mesh.whoHas(hash).length > 0),
    )
    assert.deepEqual(nodes[3]!.mesh.whoHas(hash), [nodes[0]!.mesh.id])
  })
})
