/** Swarms of the mesh in this process, without the parts that decide: who connects, and what is asked, is up to the test. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { headsTopic, protocolId } from '../../protocol/index.ts'
import { parsePeerAddress } from '../../src/peers/address.ts'
import { ensureIdentity } from '../../src/peers/identity.ts'
import type { ExchangeContext } from '../../src/peers/streams/exchange.ts'
import type { GossipVerdict } from '../../src/peers/swarm/gossip.ts'
import { Swarm, type SwarmInit } from '../../src/peers/swarm/swarm.ts'
import { silentLogger } from '../../src/util/log.ts'

export interface SwarmNodeOptions extends Partial<SwarmInit> {
  readonly network?: string
  readonly admits?: (id: string) => boolean
  /** Registers protocols before the swarm starts. */
  readonly serve?: (swarm: Swarm, context: ExchangeContext, network: string) => void
}

export interface SwarmNode extends AsyncDisposable {
  readonly id: string
  readonly swarm: Swarm
  readonly network: string
  readonly context: ExchangeContext
  /** Where it listens, without its id. */
  readonly address: string
  /** Offences that it noted, as `peer offence`. */
  readonly offences: string[]
  /** Gossip that it took. */
  readonly heard: { neighbour: string; data: Uint8Array }[]
  /** What is made of gossip; `accept` unless the test says otherwise. */
  verdict: (data: Uint8Array) => GossipVerdict
  /** Bytes that came and went. */
  readonly bytes: { received: number; sent: number }
  connect(to: SwarmNode): Promise<string>
  close(): Promise<void>
}

/** Starts a swarm on a free port of the loopback address. */
export async function startSwarm(options: SwarmNodeOptions = {}): Promise<SwarmNode> {
  const { network = 'test', admits = () => true, serve = () => {}, ...init } = options
  const folder = await mkdtemp(join(tmpdir(), 'gachix-swarm-'))
  const stopping = new AbortController()
  const offences: string[] = []
  const heard: SwarmNode['heard'] = []
  const bytes = { received: 0, sent: 0 }
  const swarm = new Swarm(
    {
      identity: await ensureIdentity(folder),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      announce: [],
      mdns: false,
      membership: protocolId(network, 'hello'),
      topic: headsTopic(network),
      ...init,
    },
    {
      logger: silentLogger,
      admission: { admitsInbound: admits, admitsOutbound: admits },
      events: {
        connected: () => {},
        disconnected: () => {},
        discovered: () => {},
        gossip: (neighbour, data) => {
          heard.push({ neighbour, data })
          return node.verdict(data)
        },
        misconduct: (peer, offence) => offences.push(`${peer} ${offence}`),
        penalty: () => 0,
      },
    },
  )
  const context: ExchangeContext = {
    logger: silentLogger,
    stopping: stopping.signal,
    penalize: (peer, offence) => offences.push(`${peer} ${offence}`),
    count: (_, received, sent) => {
      bytes.received += received
      bytes.sent += sent
    },
    open: (peer, protocol, streamOptions) => swarm.open(peer, protocol, streamOptions),
  }
  swarm.handle(protocolId(network, 'hello'), 1, (stream) => stream.abort(new Error('not answered here')))
  serve(swarm, context, network)
  await swarm.start()
  const close = async (): Promise<void> => {
    stopping.abort()
    await swarm.stop()
    await rm(folder, { recursive: true, force: true })
  }
  const node: SwarmNode = {
    id: swarm.id,
    swarm,
    network,
    context,
    address: swarm.addresses.length === 0 ? '' : parsePeerAddress(swarm.addresses[0]!).address,
    offences,
    heard,
    bytes,
    verdict: () => 'accept',
    connect: (to) => swarm.connect({ address: to.address, id: to.id }),
    close,
    [Symbol.asyncDispose]: close,
  }
  return node
}
