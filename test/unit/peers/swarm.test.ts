/** Who gets in, and what gossip reaches, over real connections. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { GOSSIP_BURST } from '../../../src/peers/swarm/limits.ts'
import { eventually } from '../../support/mesh-node.ts'
import { type SwarmNode, startSwarm } from '../../support/swarm-node.ts'

const PROTOCOL = '/gachix/test/echo/1'
const PSK = (byte: string) => Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${byte.repeat(32)}`)

async function closeAll(nodes: readonly SwarmNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.close()))
}

describe('a swarm', () => {
  it('connects by address alone, and tells who is there', async () => {
    await using a = await startSwarm()
    await using b = await startSwarm()
    const [, port] = /tcp\/(\d+)/.exec(a.address)!
    assert.equal(await b.swarm.connect({ address: `/dns/localhost/tcp/${port}` }), a.id)
    await eventually('both to know', () => a.swarm.members.has(b.id) && b.swarm.members.has(a.id))
    assert.ok((await b.swarm.ping(a.id)) >= 0)
    await b.swarm.disconnect(a.id)
    await eventually('both to know', () => a.swarm.members.size + b.swarm.members.size === 0)
    await assert.rejects(b.swarm.ping(a.id), { code: 'ERR_PEER_UNREACHABLE' })
  })

  it('survives that a connection ends in the moment in which a stream is opened', async () => {
    await using a = await startSwarm()
    await using b = await startSwarm({ serve: (swarm) => swarm.handle(PROTOCOL, 10, () => {}) })
    for (let round = 0; round < 5; round++) {
      await a.connect(b)
      const opening = a.swarm.open(b.id, PROTOCOL)
      a.swarm.abandon(b.id)
      await assert.rejects(opening, { code: 'ERR_PEER_UNREACHABLE' })
      await eventually('it to be gone', () => !a.swarm.members.has(b.id) && !b.swarm.members.has(a.id))
    }
  })

  it('does not take one peer for another', async () => {
    await using a = await startSwarm()
    await using b = await startSwarm()
    await using c = await startSwarm()
    const wrong = b.swarm.connect({ address: a.address, id: c.id })
    await assert.rejects(wrong, { code: 'ERR_PEER_UNREACHABLE' })
    assert.equal(b.swarm.members.size, 0)
  })

  const strangers: [string, Parameters<typeof startSwarm>[0], Parameters<typeof startSwarm>[0]][] = [
    ['of another network', {}, { network: 'other' }],
    ['outside of the allow list', { admits: () => false }, {}],
    ['with another pre-shared key', { preSharedKey: PSK('01') }, { preSharedKey: PSK('02') }],
    ['without the pre-shared key', { preSharedKey: PSK('01') }, {}],
    ['with a pre-shared key for a mesh without', {}, { preSharedKey: PSK('01') }],
  ]
  for (const [who, here, there] of strangers) {
    it(`gives a node ${who} nothing`, async () => {
      await using node = await startSwarm(here)
      await using stranger = await startSwarm(there)
      await assert.rejects(stranger.connect(node), { code: 'ERR_PEER_UNREACHABLE' })
      await node.swarm.publish(Buffer.from('secret'))
      await assert.rejects(stranger.swarm.open(node.id, '/gachix/test/have/1'), {
        code: 'ERR_PEER_UNREACHABLE',
      })
      assert.deepEqual([node.swarm.members.size, stranger.swarm.members.size], [0, 0])
      assert.deepEqual(stranger.heard, [])
    })
  }

  it('says when nobody answers', async () => {
    await using node = await startSwarm()
    const refused = node.swarm.connect({ address: '/ip4/127.0.0.1/tcp/1' })
    await assert.rejects(refused, { code: 'ERR_PEER_UNREACHABLE', message: /ECONNREFUSED/ })
  })

  it('goes on when its address is taken', async () => {
    await using first = await startSwarm()
    await using second = await startSwarm({ listen: [first.address] })
    assert.deepEqual(second.swarm.addresses, [])
    assert.equal(await second.connect(first), first.id)
  })

  it('gossips to a dozen nodes behind one address', async () => {
    const nodes = await Promise.all(Array.from({ length: 12 }, () => startSwarm()))
    try {
      const [hub, ...others] = nodes
      await Promise.all(others.map((node) => node.connect(hub!)))
      await eventually('all to be connected', () => hub!.swarm.members.size === others.length)
      let number = 0
      await eventually('a message of each to reach all', () => {
        for (const node of nodes) void node.swarm.publish(Buffer.from(`${node.id} ${number}`))
        number++
        return nodes.every(
          (node) => new Set(node.heard.map(({ data }) => String(data).split(' ')[0])).size === 11,
        )
      })
      assert.deepEqual(
        nodes.flatMap(({ offences }) => offences),
        [],
      )
    } finally {
      await closeAll(nodes)
    }
  })

  it('does not pass on what is not valid, and blames whoever did', async () => {
    await using a = await startSwarm()
    await using b = await startSwarm()
    await using c = await startSwarm()
    await b.connect(a)
    await c.connect(b)
    b.verdict = (data) => (String(data).startsWith('bad') ? 'reject' : 'accept')
    await eventually('good gossip to arrive', () => {
      void a.swarm.publish(Buffer.from(`good ${Math.random()}`))
      return c.heard.length > 0
    })
    await a.swarm.publish(Buffer.from('bad'))
    await eventually('the blame', () => b.offences.includes(`${a.id} protocol`))
    assert.ok(c.heard.every(({ data }) => String(data).startsWith('good')))
    await assert.rejects(a.swarm.publish(Buffer.alloc(64 * 1024 + 1)), RangeError)
  })

  it('lets nobody gossip without end, and names who tries', async () => {
    await using flooder = await startSwarm()
    await using node = await startSwarm()
    await using honest = await startSwarm()
    await flooder.connect(node)
    await honest.connect(node)
    await eventually('gossip to arrive', () => {
      void honest.swarm.publish(Buffer.from(`hello ${Math.random()}`))
      return node.heard.length > 0
    })
    await eventually('the blame', () => {
      for (let i = 0; i < 20; i++) void flooder.swarm.publish(Buffer.from(`flood ${Math.random()}`))
      return node.offences.includes(`${flooder.id} flood`)
    })
    assert.ok(node.heard.filter(({ data }) => String(data).startsWith('flood')).length <= GOSSIP_BURST + 20)
    node.heard.length = 0
    await eventually('others to be heard', () => {
      void honest.swarm.publish(Buffer.from(`still ${Math.random()}`))
      return node.heard.some(({ data }) => String(data).startsWith('still'))
    })
    assert.ok(node.offences.every((offence) => offence.startsWith(flooder.id)))
  })

  it('survives connections that say nothing, or nonsense', async () => {
    await using node = await startSwarm()
    const port = Number(/tcp\/(\d+)/.exec(node.address)![1])
    const sockets = Array.from({ length: 80 }, (_, i) => {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      if (i % 2 === 0) socket.write(Buffer.alloc(70_000, i))
      return socket
    })
    await using honest = await startSwarm()
    await eventually('an honest node to get in', () => {
      void honest.connect(node).catch(() => {})
      return node.swarm.members.has(honest.id)
    })
    for (const socket of sockets) socket.destroy()
  })
})
