/**
 * A peer that does harm, made of bare libp2p and the contract in `protocol/`: none of the product's code. The argument is a `HostilePlan`
 * as JSON. Dials again whenever it is thrown out, and goes on until it is stopped. Prints its id once it is connected.
 */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import {
  delimit,
  FINGERPRINT_BYTES,
  HAVE_REQUEST,
  HEAD,
  HELLO,
  headMessage,
  headsTopic,
  MINOR_VERSION,
  protocolId,
  SIGNED_HEAD,
  WANT,
} from '../../protocol/index.ts'

export interface HostilePlan {
  readonly behaviour: 'gossip' | 'dials' | 'streams' | 'wants' | 'trickle'
  readonly network: string
  /** Where the node is that is attacked: IP address and port. */
  readonly target: readonly [address: string, port: number]
  /** For one that trickles: who has what it announces, and the hash parts (hexadecimal) of that. */
  readonly through?: readonly [address: string, port: number]
  readonly announces?: readonly string[]
}

/** Bytes of an answer that a peer that trickles lets pass, and what comes then: so much, so often. */
const LET_PASS = 4096
const TRICKLE = 64
const PAUSE = 100

const plan: HostilePlan = JSON.parse(process.argv[2]!)
const { network } = plan
const privateKey = await generateKeyPair('Ed25519')
const node = await createLibp2p<{ identify: Identify; ping: Ping; gossip: GossipSub }>({
  privateKey,
  addresses: { listen: [] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux({ maxInboundStreams: 1024, maxOutboundStreams: 100_000 })],
  connectionManager: { reconnectRetries: 0 },
  services: { identify: identify(), ping: ping(), gossip: gossipsub({ allowPublishToZeroTopicPeers: true }) },
})
await node.handle(protocolId(network, 'hello'), (stream) => {
  stream.addEventListener('remoteCloseWrite', () => {
    stream.send(delimit(HELLO.encode(hello)))
    void stream.close().catch(() => {})
  })
})
for (const protocol of ['have', 'narinfos', 'pack'] as const) {
  const id = protocolId(network, protocol)
  await node.handle(id, (stream) => relay(stream, id), { maxInboundStreams: 1024 })
}
const hello = {
  ...{ network, minor: MINOR_VERSION, oldestMinor: MINOR_VERSION, features: [], agent: 'hostile' },
  ...{ head: await announcement(), yours: new Uint8Array(0) },
}

const behaviours: Record<HostilePlan['behaviour'], (connection: Connection) => Promise<unknown>> = {
  gossip: floodGossip,
  dials: floodDials,
  streams: floodStreams,
  wants: floodWants,
  trickle: (connection) => new Promise((resolve) => connection.addEventListener('close', resolve)),
}
const origin = plan.through === undefined ? undefined : await node.dial(addressOf(plan.through))
for (;;) {
  try {
    const connection = await node.dial(addressOf(plan.target))
    process.stdout.write(`${node.peerId}\n`)
    await behaviours[plan.behaviour](connection)
  } catch {
    // Thrown out, or not let in: try again.
  }
  await delay(50)
}

function addressOf([address, port]: readonly [string, number]): ReturnType<typeof multiaddr> {
  return multiaddr(`/ip4/${address}/tcp/${port}`)
}

/** A head that says that all of `announces` is here; empty when that is nothing. */
async function announcement(): Promise<Uint8Array> {
  const hashes = (plan.announces ?? []).map((hash) => Buffer.from(hash, 'hex'))
  if (hashes.length === 0) return new Uint8Array(0)
  const fingerprint = Buffer.alloc(FINGERPRINT_BYTES)
  for (const hash of hashes) for (let i = 0; i < FINGERPRINT_BYTES; i++) fingerprint[i]! ^= hash[i]!
  const body = HEAD.encode({
    peer: peerIdFromPrivateKey(privateKey).toMultihash().bytes,
    ...{ network, epoch: 1, seq: hashes.length, minSeq: 0, count: hashes.length, fingerprint },
    newest: Buffer.concat(hashes),
    time: Date.now(),
  })
  return SIGNED_HEAD.encode({ body, signature: await privateKey.sign(headMessage(body)) })
}

/** Messages that nobody can read, as many as go out. */
async function floodGossip(connection: Connection): Promise<void> {
  const { gossip } = node.services
  const topic = headsTopic(network)
  gossip.subscribe(topic)
  while (connection.status === 'open') {
    for (let i = 0; i < 20; i++) {
      await gossip.publish(topic, crypto.getRandomValues(new Uint8Array(1024))).catch(() => {})
    }
    await delay(10)
  }
}

/** Connections that say nothing, and ones that are made to the end, over and over. */
async function floodDials(): Promise<void> {
  const [address, port] = plan.target
  for (;;) {
    for (let i = 0; i < 20; i++) connect(port, address).on('error', () => {})
    void node.dial(addressOf(plan.target), { force: true }).catch(() => {})
    await delay(50)
  }
}

/** Streams of every protocol that ask for nothing. */
async function floodStreams(connection: Connection): Promise<void> {
  const protocols = ['hello', 'heads', 'inventory', 'have', 'narinfos', 'pack', 'peers'] as const
  while (connection.status === 'open') {
    for (const protocol of protocols) {
      void connection
        .newStream(protocolId(network, protocol), { maxOutboundStreams: 100_000 })
        .catch(() => {})
    }
    await delay(5)
  }
}

/** Requests for objects and packages that nobody has, and no look at the answers. */
async function floodWants(connection: Connection): Promise<void> {
  const ask = async (protocol: 'have' | 'pack', message: () => Uint8Array): Promise<void> => {
    const stream = await connection.newStream(protocolId(network, protocol), { maxOutboundStreams: 100_000 })
    stream.send(delimit(message()))
    void stream.close().catch(() => {})
  }
  const random = (): Uint8Array => crypto.getRandomValues(new Uint8Array(20))
  const want = (): Uint8Array => WANT.encode({ wants: random(), haves: new Uint8Array(0), omitBlobs: false })
  const have = (): Uint8Array => HAVE_REQUEST.encode({ hashes: random() })
  const asking = async (protocol: 'have' | 'pack', message: () => Uint8Array): Promise<void> => {
    while (connection.status === 'open') await ask(protocol, message).catch(() => delay(10))
  }
  const several = Array.from({ length: 8 }, () => asking('have', have))
  await Promise.all([...several, asking('pack', want), asking('pack', want)])
}

/** Has another node answer, and passes the answer on: what is long in a trickle. */
async function relay(stream: Stream, protocol: string): Promise<void> {
  if (origin === undefined) {
    stream.abort(new Error('nothing is served here'))
    return
  }
  const other = await origin.newStream(protocol)
  stream.addEventListener('message', ({ data }) => void other.send(data.subarray()))
  stream.addEventListener('remoteCloseWrite', () => void other.close().catch(() => {}))
  let passed = 0
  try {
    for await (const data of other) {
      for (let rest = data.subarray(); rest.length > 0; ) {
        const piece = rest.subarray(0, passed < LET_PASS ? LET_PASS : TRICKLE)
        rest = rest.subarray(piece.length)
        if (passed >= LET_PASS) await delay(PAUSE)
        passed += piece.length
        stream.send(piece)
      }
    }
    await stream.close()
  } catch (error) {
    for (const each of [stream, other]) each.abort(error as Error)
  }
}
