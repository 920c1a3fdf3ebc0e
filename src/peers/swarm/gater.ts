/**
 * Who gets a connection. Asked before the handshake by address, and after it, when the peer's id is proven.
 */
import type { Connection, ConnectionGater, MultiaddrConnection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { MAX_CONNECTIONS_PER_ADDRESS, MAX_CONNECTIONS_PER_PEER, MAX_PENDING_PER_ADDRESS } from './limits.ts'

/** Decides on peers by their proven id. */
export interface Admission {
  /** Whether a peer that called may stay. */
  admitsInbound(id: string): boolean
  /** Whether a peer that was called, and answered as this one, may stay. */
  admitsOutbound(id: string): boolean
}

export interface GaterComponents {
  readonly admission: Admission
  /** The connections that there are. */
  readonly connections: () => readonly Connection[]
}

export function createGater({ admission, connections }: GaterComponents): ConnectionGater {
  const crowded = (id: string): boolean =>
    connections().filter(({ remotePeer }) => remotePeer.toString() === id).length >= MAX_CONNECTIONS_PER_PEER
  /** Connections that have come in and not shaken hands yet. */
  const pending = new Set<MultiaddrConnection>()
  return {
    denyInboundConnection: (connection: MultiaddrConnection) => {
      const address = ipOf(connection.remoteAddr)
      const from = (each: { remoteAddr: Multiaddr }) => ipOf(each.remoteAddr) === address
      if ([...pending].filter(from).length >= MAX_PENDING_PER_ADDRESS) return true
      if (connections().filter(from).length >= MAX_CONNECTIONS_PER_ADDRESS) return true
      pending.add(connection)
      connection.addEventListener('close', () => pending.delete(connection))
      return false
    },
    denyInboundUpgradedConnection: (_, connection) => {
      pending.delete(connection)
      return false
    },
    denyInboundEncryptedConnection: (peer) => {
      const id = peer.toString()
      return !admission.admitsInbound(id) || crowded(id)
    },
    denyOutboundEncryptedConnection: (peer) => !admission.admitsOutbound(peer.toString()),
    // libp2p's default refuses private addresses in browsers only; ours says so for every platform.
    denyDialMultiaddr: () => false,
  }
}

/** The host part of an address. */
export function ipOf(address: Multiaddr): string {
  return address.getComponents()[0]?.value ?? ''
}
