/** What is private is named nowhere, and peers that flood or lie cost little. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HEAD, MAX_KNOWN_HEADS, SIGNED_HEAD } from '../../protocol/index.ts'
import { PREFIX_BYTES } from '../../protocol/limits.ts'
import { headMessage } from '../../protocol/messages/head.ts'
import { nix32Decode } from '../../src/nix/base32.ts'
import { SimMesh, simPackage, simPackages } from './support/mesh.ts'
import { simSignature } from './support/node.ts'

test('private packages are named in no byte that leaves a node', async () => {
  const name = (number: number): string => (number % 3 === 0 ? `secret-${number}` : `hello-${number}`)
  const numbers = Array.from({ length: 300 }, (_, number) => number)
  const mesh = new SimMesh({
    nodes: 6,
    seed: 20,
    share: (index) => (index === 1 ? 'off' : ['*', '!secret-*']),
    packages: (index) =>
      numbers.map((number): [string, string] => {
        const { hash } = simPackage(1000 * index + number)
        return [hash, name(number)]
      }),
  })
  const hidden = (index: number, number: number): boolean => index === 1 || number % 3 === 0
  const secrets: Buffer[] = []
  let bytes = 0
  const sent: Buffer[] = []
  mesh.network.watch = (data) => {
    bytes += data.length
    sent.push(Buffer.from(data))
  }
  await mesh.start()
  assert.ok(await mesh.scheduler.run(30_000, () => mesh.converged()))
  for (const [index, node] of mesh.nodes.entries()) {
    for (let number = 300; number < 330; number++)
      await node.add([simPackage(1000 * index + number, name(number))])
    for (let number = 0; number < 30; number++) await node.remove([simPackage(1000 * index + number).hash])
  }
  mesh.nodes[2]!.stop()
  mesh.nodes[2]!.disk.wipe()
  await mesh.nodes[2]!.start()
  assert.ok(await mesh.scheduler.run(30_000, () => mesh.converged()))

  let shown = 0
  const all = Buffer.concat(sent)
  for (let index = 0; index < 6; index++) {
    for (let number = 0; number < 330; number++) {
      const prefix = nix32Decode(simPackage(1000 * index + number).hash).subarray(0, PREFIX_BYTES)
      if (hidden(index, number)) secrets.push(prefix)
      else if (all.includes(prefix)) shown++
    }
  }
  assert.equal(shown, 5 * 220, 'what is shared was told, so that the search is one')
  for (const secret of secrets) assert.ok(!all.includes(secret), secret.toString('hex'))
  assert.ok(!all.includes('secret') && !all.includes('hello'), 'names are not told at all')
  assert.equal(all.length, bytes)
})

test('a flood of heads reaches its neighbours at a bounded rate, and others hardly; honest changes arrive as before', async (t) => {
  const mesh = new SimMesh({ nodes: 10, seed: 21, packages: (index) => simPackages(10 * index, 10) })
  await mesh.start()
  assert.ok(await mesh.scheduler.run(30_000, () => mesh.converged()))
  const flooder = mesh.nodes[0]!
  const { log } = flooder.inventory
  const flood = (seq: number, id: Uint8Array): Uint8Array => {
    const time = Math.floor(mesh.scheduler.now)
    const numbers = { epoch: log.epoch + 1, seq, minSeq: 0, count: seq > 1 ? 0 : 1, time }
    const body = HEAD.encode({
      peer: id,
      network: 'sim',
      ...numbers,
      fingerprint: Buffer.alloc(8),
      newest: Buffer.alloc(0),
    })
    return SIGNED_HEAD.encode({ body, signature: simSignature(id, headMessage(body)) })
  }
  const own = Buffer.from(flooder.key, 'hex')
  mesh.network.resetTraffic()
  // 200 heads a second of its own, and 200 of invented peers, for 7.5 seconds
  for (let sent = 0; sent < 1500; sent++) {
    mesh.scheduler.after(sent * 5, () => {
      const id = Buffer.alloc(32, sent)
      id.writeUInt32BE(sent)
      for (const neighbour of flooder.neighbours) {
        for (const data of [flood(sent + 1, own), flood(1, id)]) {
          mesh.network.send(flooder.key, neighbour.key, 'gossip', data, (to) =>
            to.receiveGossip(data, flooder.key),
          )
        }
      }
    })
  }
  const node = mesh.nodes[5]!
  const added = simPackage(100_000)
  await mesh.scheduler.run(5000)
  await node.add([added])
  await mesh.scheduler.run(2000)
  for (const other of mesh.nodes.slice(1)) {
    if (other !== node) assert.ok(mesh.knows(other, node, added.hash), 'known within 2 s of the flood')
  }
  await mesh.scheduler.run(10_000)
  const forwarded = mesh.network.traffic.gossip.messages - 3000 * flooder.neighbours.size
  t.diagnostic(`${3000 * flooder.neighbours.size} messages of the flooder, ${forwarded} forwarded or honest`)
  for (const other of mesh.nodes.slice(1)) {
    assert.ok(other.exchange.heads.size <= MAX_KNOWN_HEADS)
    assert.ok(
      !mesh.nodes
        .slice(1)
        .some((honest) => honest !== other && other.exchange.heads.head(honest.key) === undefined),
    )
  }
})

test('a peer that answers what it likes is not believed, and others are asked', async () => {
  const mesh = new SimMesh({ nodes: 8, seed: 22, packages: (index) => simPackages(2000 * index, 2000) })
  const liar = mesh.nodes[0]!
  let answers = 0
  liar.answer = (protocol, _, from) => {
    answers++
    const bytes = mesh.random.below(300)
    return protocol === 'heads' && from === '' ? undefined : Buffer.alloc(bytes, answers)
  }
  await mesh.start()
  const honest = mesh.nodes.slice(1)
  assert.ok(await mesh.scheduler.run(30_000, () => mesh.converged(honest)), 'the honest ones agree')
  await mesh.scheduler.run(10 * 60_000)
  assert.ok(answers < 7 * 200, `it is asked less and less often: ${answers} times`)
  const marked = honest.filter(({ exchange }) => exchange.directory.faults(liar.key, mesh.scheduler.now) >= 1)
  assert.ok(marked.length > 0, 'and marked')
})
