/** 100,000 packages: what changes and first contacts cost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HASH_BYTES } from '../../protocol/index.ts'
import { SimMesh, simPackage, simPackages } from './support/mesh.ts'

const PACKAGES = 100_000
const WHOLE = PACKAGES * HASH_BYTES
/** Packages that only one of two near replicas has. */
const DIFFERENCES = 100

test('near replicas of 100,000 packages compare in less than 3 % of the list; then a change costs less than 100 bytes', async (t) => {
  const mesh = new SimMesh({
    nodes: 2,
    seed: 10,
    packages: (index) => simPackages(index === 0 ? 0 : DIFFERENCES / 2, PACKAGES - DIFFERENCES / 2),
  })
  await mesh.start()
  assert.ok(await mesh.scheduler.run(10_000, () => mesh.converged()))
  const contact = mesh.network.traffic.inventory
  t.diagnostic(`first contact: ${contact.bytes} bytes in ${contact.messages} messages, both ways`)
  assert.ok(contact.bytes / 2 < WHOLE * 0.03, `${contact.bytes} bytes for both`)

  // heads carry the newest hashes; so the follower misses all heads that have the change in them
  const [node, follower] = [mesh.nodes[0]!, mesh.nodes[1]!]
  mesh.partition(1)
  await node.add([simPackage(200_000)])
  await mesh.scheduler.run(5 * 60 * 60_000)
  mesh.network.resetTraffic()
  mesh.heal()
  assert.ok(await mesh.scheduler.run(10_000, () => mesh.converged()))
  assert.ok(mesh.knows(follower, node, simPackage(200_000).hash))
  const log = mesh.network.traffic.inventory
  t.diagnostic(`a change: ${log.bytes} bytes in the log, in ${log.messages} messages`)
  assert.ok(log.messages === 2 && log.bytes < 100, `${log.bytes} bytes`)
})

test('a stranger of 100,000 packages is listed once, at the cost of the list', async (t) => {
  const mesh = new SimMesh({
    nodes: 2,
    seed: 11,
    packages: (index) => (index === 0 ? simPackages(0, PACKAGES) : []),
  })
  await mesh.start()
  assert.ok(await mesh.scheduler.run(60_000, () => mesh.converged()))
  const { bytes } = mesh.network.traffic.inventory
  t.diagnostic(`${bytes} bytes, the list has ${WHOLE}`)
  assert.ok(bytes < WHOLE * 1.01)
})
