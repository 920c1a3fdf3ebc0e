/** Whatever nodes miss, in the end all know what all have, and no inventory travels whole for it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HASH_BYTES } from '../../protocol/index.ts'
import { SimMesh, simPackage, simPackages } from './support/mesh.ts'

/** Packages of each node before. */
const PACKAGES = 1500

async function settled(nodes: number, seed: number, links = {}): Promise<SimMesh> {
  const mesh = new SimMesh({ nodes, seed, links, packages: () => simPackages(0, PACKAGES) })
  await mesh.start()
  assert.ok(await mesh.scheduler.run(120_000, () => mesh.converged()), 'all know of all after the start')
  mesh.network.resetTraffic()
  return mesh
}

test('a partition heals: all know of both sides within 10 s, from bytes for the difference only', async (t) => {
  const mesh = await settled(30, 2)
  mesh.partition(15)
  const ticks = mesh.nodes.map(async (node, index) => node.add([simPackage(10_000 + index)]))
  await Promise.all(ticks)
  await mesh.scheduler.run(5 * 60_000)
  assert.ok(
    mesh.converged(mesh.nodes.slice(0, 15)) && mesh.converged(mesh.nodes.slice(15)),
    'each side agrees',
  )
  assert.ok(!mesh.converged())
  mesh.network.resetTraffic()
  const healed = mesh.scheduler.now
  mesh.heal()
  assert.ok(await mesh.scheduler.run(10_000, () => mesh.converged()), 'all agree within 10 s')
  const { bytes, traffic } = mesh.network
  const whole = 15 * 15 * 2 * PACKAGES * HASH_BYTES
  t.diagnostic(`${mesh.scheduler.now - healed} ms, ${bytes} bytes; whole inventories have ${whole}`)
  assert.ok(bytes < whole / 10, `${bytes} bytes`)
  // 450 followers (of one another, across) that had to learn one change each
  assert.ok(traffic.inventory.bytes < 15 * 15 * 2 * 100, `${traffic.inventory.bytes} bytes about inventories`)
})

describe('a node', () => {
  test('that was off for a day catches up, and others with what it added meanwhile', async () => {
    const mesh = await settled(12, 3)
    const [node, other] = [mesh.nodes[0]!, mesh.nodes[1]!]
    const { epoch, seq } = node.inventory.log
    node.stop()
    node.packages.set(...simEntry(20_000))
    node.packages.delete(simPackage(5).hash)
    await other.add([simPackage(20_001)])
    await mesh.scheduler.run(24 * 60 * 60_000)
    mesh.network.resetTraffic()
    await node.start()
    assert.ok(await mesh.scheduler.run(10_000, () => mesh.converged()))
    assert.deepEqual([node.inventory.log.epoch, node.inventory.log.seq], [epoch, seq + 2], 'its log went on')
    assert.ok(
      mesh.knows(node, other, simPackage(20_001).hash) && mesh.knows(other, node, simPackage(20_000).hash),
    )
    assert.ok(!mesh.knows(other, node, simPackage(5).hash))
    assert.ok(mesh.network.traffic.inventory.bytes < 11 * PACKAGES * HASH_BYTES * 0.2)
  })

  test('whose log is lost begins a new epoch, and costs others a comparison each', async () => {
    const mesh = await settled(12, 4)
    const node = mesh.nodes[0]!
    const { epoch } = node.inventory.log
    node.stop()
    node.disk.wipe()
    await mesh.scheduler.run(1000)
    mesh.network.resetTraffic()
    await node.start()
    assert.ok(await mesh.scheduler.run(20_000, () => mesh.converged()))
    assert.ok(node.inventory.log.epoch > epoch)
    assert.ok(
      mesh.network.traffic.inventory.bytes < 11 * PACKAGES * HASH_BYTES,
      'what it learns of others included',
    )
  })

  test('that loses its packages as well is believed to have none', async () => {
    const mesh = await settled(6, 5)
    const node = mesh.nodes[0]!
    node.stop()
    node.disk.wipe()
    node.packages.clear()
    await mesh.scheduler.run(1000)
    await node.start()
    assert.ok(await mesh.scheduler.run(20_000, () => mesh.converged()))
    assert.equal(mesh.nodes[1]!.exchange.directory.count(node.key), 0)
  })

  test('that was restored from a backup is told so, and gives out no number again', async () => {
    const mesh = await settled(6, 6)
    const node = mesh.nodes[0]!
    const backup = await node.disk.backup().load()
    await node.add([simPackage(30_000)])
    await mesh.scheduler.run(5000)
    node.stop()
    await node.disk.replace(backup!)
    node.packages.delete(simPackage(30_000).hash)
    node.packages.set(...simEntry(30_001))
    await node.start()
    assert.ok(await mesh.scheduler.run(30_000, () => mesh.converged()))
    assert.equal(node.inventory.log.epoch, backup!.epoch + 1, 'its peers told it that it is behind')
    for (const other of mesh.nodes.slice(1)) {
      assert.ok(mesh.knows(other, node, simPackage(30_001).hash))
      assert.ok(!mesh.knows(other, node, simPackage(30_000).hash))
    }
  })
})

test('with churn, loss, repeats and disorder, all agree once it is over', async () => {
  const mesh = await settled(20, 7, { loss: 0.02, duplication: 0.1, jitter: 400 })
  for (let round = 0; round < 60; round++) {
    const node = mesh.random.pick(mesh.nodes)
    if (!node.running) await node.start()
    else if (mesh.random.below(4) === 0) node.stop()
    else if (mesh.random.below(3) === 0) await node.remove([simPackage(mesh.random.below(PACKAGES)).hash])
    else await node.add([simPackage(40_000 + round), simPackage(50_000 + round)])
    if (round === 20) mesh.partition(8)
    if (round === 40) mesh.heal()
    await mesh.scheduler.run(mesh.random.below(3000))
  }
  for (const node of mesh.nodes) if (!node.running) await node.start()
  mesh.reconnect()
  assert.ok(await mesh.scheduler.run(120_000, () => mesh.converged()))
})

test('the same seed gives the same messages, another seed others', async () => {
  const trace = async (seed: number): Promise<string> => {
    const mesh = await settled(8, seed, { loss: 0.05, duplication: 0.05, jitter: 100 })
    await mesh.nodes[3]!.add([simPackage(60_000)])
    mesh.nodes[4]!.stop()
    await mesh.scheduler.run(30_000)
    await mesh.nodes[4]!.start()
    await mesh.scheduler.run(30_000)
    return mesh.network.traceHash()
  }
  const first = await trace(8)
  assert.equal(await trace(8), first)
  assert.notEqual(await trace(9), first)
})

function simEntry(number: number): [string, string] {
  const { hash, name } = simPackage(number)
  return [hash, name]
}
