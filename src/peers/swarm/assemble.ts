import type { GossipSub } from '@libp2p/gossipsub'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, Libp2p } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { type Ping, ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { VERSION } from '../../util/version.ts'
import type { Identity } from '../identity.ts'
import { encryption } from './encryption.ts'
import { type Admission, createGater, ipOf } from './gater.ts'
import { gossip } from './gossip.ts'
import {
  DIAL_TIMEOUT,
  IDENTIFY_TIMEOUT,
  INBOUND_PER_SECOND,
  MAX_CONNECTIONS,
  MAX_PENDING_CONNECTIONS,
  PING_INTERVAL,
  PING_TIMEOUT,
  UPGRADE_TIMEOUT,
} from './limits.ts'
import { muxer } from './muxer.ts'
import { transport } from './transport.ts'

export interface SwarmSettings {
  readonly identity: Identity
  /** Multiaddrs to listen on; none makes a node that only dials. */
  readonly listen: readonly string[]
  /** Multiaddrs to tell others instead of those listened on. */
  readonly announce: readonly string[]
  /** Contents of a `swarm.key`; makes the mesh private. */
  readonly preSharedKey?: Uint8Array
  /** Whether to find nodes on the local network, and be found. */
  readonly mdns: boolean
}

export type SwarmServices = { identify: Identify; ping: Ping; gossip: GossipSub }

/** Puts libp2p together, not started yet. */
export function assembleLibp2p(
  settings: SwarmSettings,
  components: { admission: Admission; topic: string; penalty: (id: string) => number },
): Promise<Libp2p<SwarmServices>> {
  let connections: () => readonly Connection[] = () => []
  const node = createLibp2p<SwarmServices>({
    start: false,
    privateKey: settings.identity.privateKey,
    nodeInfo: { name: 'gachix', version: VERSION, userAgent: `gachix/${VERSION}` },
    addresses: {
      listen: [...settings.listen],
      announce: [...settings.announce],
      announceFilter: withoutLoopback,
    },
    // An address that is taken must not keep the node from dialling out.
    transportManager: { faultTolerance: 1 },
    transports: [transport()],
    connectionEncrypters: [encryption()],
    streamMuxers: [muxer()],
    ...(settings.preSharedKey !== undefined && {
      connectionProtector: preSharedKey({ psk: settings.preSharedKey }),
    }),
    ...(settings.mdns && { peerDiscovery: [mdns()] }),
    connectionGater: createGater({ admission: components.admission, connections: () => connections() }),
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_PENDING_CONNECTIONS,
      inboundConnectionThreshold: INBOUND_PER_SECOND,
      inboundUpgradeTimeout: UPGRADE_TIMEOUT,
      dialTimeout: DIAL_TIMEOUT,
      reconnectRetries: 0,
    },
    connectionMonitor: {
      pingInterval: PING_INTERVAL,
      pingTimeout: { minTimeout: PING_TIMEOUT, maxTimeout: 2 * PING_TIMEOUT },
    },
    services: {
      identify: identify({ timeout: IDENTIFY_TIMEOUT }),
      ping: ping(),
      gossip: gossip(components.topic, components.penalty),
    },
  })
  return node.then((libp2p) => {
    connections = () => libp2p.getConnections()
    return libp2p
  })
}

/** Loopback addresses mean nothing to others, except to nodes of the same machine when there are no other ones. */
function withoutLoopback(addresses: Multiaddr[]): Multiaddr[] {
  const reachable = addresses.filter((address) => !/^(127\.|::1$|localhost$)/.test(ipOf(address)))
  return reachable.length > 0 ? reachable : addresses
}
