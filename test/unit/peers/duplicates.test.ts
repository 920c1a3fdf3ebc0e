/** Two connections between the same two nodes: one stays, the same for both, and nothing that ran on the other breaks. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { eventually } from '../../support/mesh-node.ts'
import { type SwarmNode, startSwarm } from '../../support/swarm-node.ts'

const ECHO = '/echo/1'
/** Milliseconds until of two connections one is left, and what a loaded machine takes on top. */
const PATIENCE = 30_000
/** Milliseconds after which a connection on which nothing runs would be closed: settling, grace, and two looks. */
const LONG_ENOUGH = 8000

/** Two nodes, the one with the smaller id first. */
async function twoNodes(stack: AsyncDisposableStack): Promise<[SwarmNode, SwarmNode]> {
  const echo = (stream: Stream): void => {
    stream.addEventListener('message', ({ data }) => void stream.send(data))
    stream.addEventListener('remoteCloseWrite', () => void stream.close().catch(() => {}))
  }
  const serve = (swarm: SwarmNode['swarm']): void => swarm.handle(ECHO, 4, echo)
  const nodes = [stack.use(await startSwarm({ serve })), stack.use(await startSwarm({ serve }))]
  return nodes.sort((one, other) => (one.id < other.id ? -1 : 1)) as [SwarmNode, SwarmNode]
}

/** Dials a node as one whose id is not known, whether or not it is connected. */
const dialBlindly = (from: SwarmNode, address: string) => from.swarm.connect({ address })
const connections = (nodes: readonly SwarmNode[]): number[] =>
  nodes.map(({ swarm }) => swarm.load.connections)
const become = (nodes: readonly SwarmNode[], count: number) =>
  eventually(`${count} connections`, () => connections(nodes).every((each) => each === count), PATIENCE)

/** Waits until messages arrive in both directions. */
async function gossip(nodes: readonly [SwarmNode, SwarmNode]): Promise<void> {
  for (const { heard } of nodes) heard.length = 0
  await eventually('gossip to arrive', () => {
    for (const { swarm } of nodes) void swarm.publish(Buffer.from(`${Math.random()}`))
    return nodes.every(({ heard }) => heard.length > 0)
  })
}

/** A stream on which what is sent comes back. */
class Echo {
  readonly #stream: Stream
  #sent = 0
  #back = 0

  constructor(stream: Stream) {
    this.#stream = stream
    stream.addEventListener('message', ({ data }) => {
      this.#back += data.byteLength
    })
  }

  async check(): Promise<void> {
    this.#stream.send(Buffer.alloc(1000))
    this.#sent += 1000
    await eventually('all to come back', () => this.#back === this.#sent)
  }

  /** Checks it, and that new streams can be had from both ends, for some time. */
  async checkFor(milliseconds: number, [a, b]: readonly [SwarmNode, SwarmNode]): Promise<void> {
    const end = performance.now() + milliseconds
    while (performance.now() < end) {
      await this.check()
      const passing = [await a.swarm.open(b.id, ECHO), await b.swarm.open(a.id, ECHO)]
      for (const stream of passing) {
        const echo = new Echo(stream)
        await echo.check()
        await echo.close()
      }
      await delay(100)
    }
  }

  close(): Promise<void> {
    return this.#stream.close()
  }
}

describe('of two connections with one peer', { concurrency: true }, () => {
  it('one stays when dials have crossed, with gossip in both directions', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await twoNodes(stack)
    for (;;) {
      await Promise.all([a.connect(b), b.connect(a)])
      if (connections([a, b]).every((count) => count === 2)) break
      await a.swarm.disconnect(b.id)
      await become([a, b], 0)
    }
    await gossip([a, b])
    await become([a, b], 1)
    await gossip([a, b])
    assert.ok((await a.swarm.ping(b.id)) >= 0)
    assert.deepEqual([a.swarm.members.has(b.id), b.swarm.members.has(a.id)], [true, true])
    // One of gossip in each direction; others come and go.
    await eventually('two streams', () => [a, b].every(({ swarm }) => swarm.load.streams === 2))
  })

  it('the one that the smaller id dialled stays, though the other is newer', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await twoNodes(stack)
    await a.connect(b)
    const echo = new Echo(await a.swarm.open(b.id, ECHO))
    await dialBlindly(b, a.address)
    await become([a, b], 2)
    await become([a, b], 1)
    await echo.checkFor(500, [a, b])
    await gossip([a, b])
  })

  it('the other one stays until what runs on it has ended', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await twoNodes(stack)
    await b.connect(a)
    const echo = new Echo(await b.swarm.open(a.id, ECHO))
    await dialBlindly(a, b.address)
    await echo.checkFor(LONG_ENOUGH, [a, b])
    assert.deepEqual(connections([a, b]), [2, 2])
    await echo.close()
    await become([a, b], 1)
    await gossip([a, b])
  })

  it('one that is dead does not stay', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await twoNodes(stack)
    const sockets: Socket[] = []
    const [, port] = /tcp\/(\d+)/.exec(b.address)!
    const wire = createServer((near) => {
      const far = connect(Number(port), '127.0.0.1')
      sockets.push(near.pipe(far), far.pipe(near))
      for (const socket of [near, far]) socket.on('error', () => {})
    }).listen(0, '127.0.0.1')
    stack.defer(() => void wire.close())
    await once(wire, 'listening')
    await dialBlindly(a, `/ip4/127.0.0.1/tcp/${(wire.address() as AddressInfo).port}`)
    for (const socket of sockets) socket.unpipe().pause()
    await dialBlindly(b, a.address)
    await become([a, b], 1)
    assert.ok((await a.swarm.ping(b.id)) >= 0)
    await gossip([a, b])
    for (const socket of sockets) socket.destroy()
  })
})
