/** A change on one node is known to all others within two seconds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type MeshOptions, SimMesh, simPackage, simPackages } from './support/mesh.ts'

/** Longest time for a change to be known everywhere. */
const WITHIN = 2000

/** Adds packages on nodes at random, one a second; gives the delays after which each other node knew of each, in order. */
async function delays(mesh: SimMesh, changes: number): Promise<number[]> {
  const found: number[] = []
  for (let change = 0; change < changes; change++) {
    const node = mesh.random.pick(mesh.nodes)
    const added = simPackage(1_000_000 + change)
    mesh.watched.add(added.hash)
    const at = mesh.scheduler.now
    await node.add([added])
    await mesh.scheduler.run(1000 + mesh.random.below(1500))
    const heard = mesh.learnt.filter(({ hash }) => hash === added.hash)
    for (const learnt of heard) found.push(learnt.at - at)
  }
  assert.equal(found.length, changes * (mesh.nodes.length - 1), 'everybody heard of every change, once')
  return found.sort((a, b) => a - b)
}

async function settled(options: MeshOptions): Promise<SimMesh> {
  const mesh = new SimMesh(options)
  await mesh.start()
  assert.ok(await mesh.scheduler.run(120_000, () => mesh.converged()), 'all know of all after the start')
  return mesh
}

for (const { nodes, changes, links } of [
  { nodes: 5, changes: 40, links: {} },
  { nodes: 100, changes: 10, links: {} },
  { nodes: 100, changes: 5, links: { loss: 0.05, duplication: 0.05, jitter: 100 } },
  { nodes: 200, changes: 2, links: {} },
]) {
  const conditions = links.loss === undefined ? '50 ms apart' : 'losing, repeating and reordering messages'
  test(`${nodes} nodes, ${conditions}: known to all within 2 s`, async (t) => {
    const packages = (index: number) => simPackages(5 * index, 5)
    const mesh = await settled({ nodes, seed: 1, links, packages })
    const found = await delays(mesh, changes)
    const p99 = found[Math.floor(found.length * 0.99)]!
    t.diagnostic(
      `median ${Math.round(found[found.length >> 1]!)} ms, p99 ${Math.round(p99)} ms, longest ${Math.round(found.at(-1)!)} ms`,
    )
    assert.ok(p99 < WITHIN, `p99 is ${p99} ms`)
  })
}
