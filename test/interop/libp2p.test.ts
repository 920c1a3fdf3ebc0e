/** The swarm and an independent application of libp2p, in a process of its own. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { protocolId } from '../../protocol/index.ts'
import { run } from '../support/process.ts'
import { type SwarmNode, startSwarm } from '../support/swarm-node.ts'

const PROGRAM = join(import.meta.dirname, '../support/bare-libp2p.ts')
const bare = (...args: string[]) => run(process.execPath, [PROGRAM, ...args])

describe('a bare application of libp2p', () => {
  let node: SwarmNode
  before(async () => {
    node = await startSwarm()
  })
  after(() => node.close())

  it('dials, identifies and pings a node', async () => {
    const found = JSON.parse(String(await bare(node.swarm.addresses[0]!)))
    assert.equal(found.id, node.id)
    assert.match(found.agentVersion, /^gachix\//)
    assert.ok(found.protocols.includes(protocolId('test', 'hello')))
    assert.ok(found.latency >= 0)
    assert.equal(node.swarm.members.size, 0, 'and is no peer for it')
    assert.deepEqual(node.offences, [])
  })

  it('needs the pre-shared key of a private mesh', async () => {
    const psk = Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${'5a'.repeat(32)}`)
    await using closed = await startSwarm({ preSharedKey: psk })
    const address = closed.swarm.addresses[0]!
    assert.equal(JSON.parse(String(await bare(address, psk.toString('hex')))).id, closed.id)
    const wrong = Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${'5b'.repeat(32)}`).toString('hex')
    await assert.rejects(bare(address, wrong))
    await assert.rejects(bare(address))
  })
})
