/**
 * An application of libp2p that knows nothing of gachix: dials the address in its arguments, identifies and pings, and prints
 * what it found as JSON. A second argument is the hexadecimal form of a pre-shared key.
 */
import { noise } from '@chainsafe/libp2p-noise'
import { type Identify, identify } from '@libp2p/identify'
import { type Ping, ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const [address, psk] = process.argv.slice(2)
const node = await createLibp2p<{ identify: Identify; ping: Ping }>({
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  ...(psk !== undefined && { connectionProtector: preSharedKey({ psk: Buffer.from(psk, 'hex') }) }),
  services: { identify: identify({ runOnConnectionOpen: false }), ping: ping() },
})
const connection = await node.dial(multiaddr(address!), { signal: AbortSignal.timeout(5000) })
const { agentVersion, protocols, peerId } = await node.services.identify.identify(connection)
const latency = await node.services.ping.ping(connection.remotePeer)
process.stdout.write(`${JSON.stringify({ id: peerId.toString(), agentVersion, protocols, latency })}\n`)
await node.stop()
