/**
 * Who gets a connection. Asked before the handshake by address, and after it, when the peer's id is proven.
 */
import type { Connection, ConnectionGater, MultiaddrConnection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { MAX_CONNECTIONS_PER_ADDRESS, MAX_CONNECTIONS_PER_PEER } from './limits.ts'

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
  return {
    denyInboundConnection: (connection: MultiaddrConnection) => {
      const address = ipOf(connection.remoteAddr)
      const same = connections().filter(({ remoteAddr }) => ipOf(remoteAddr) === address)
      return same.length >= MAX_CONNECTIONS_PER_ADDRESS
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
