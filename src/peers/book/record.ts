/** What a node knows of one peer. */

/**
 * How a peer came into the book: named in the settings, added by `peer add`, or heard of from other peers, the local network, or
 * because it called. Only the first two are dialled for ever.
 */
export type PeerOrigin = 'configured' | 'added' | 'learnt'

export type PeerState =
  /** Connected and of this network. */
  | 'connected'
  | 'connecting'
  /** Not connected; will be dialled again. */
  | 'waiting'
  /** Broke the rules; neither dialled nor let in for a while. */
  | 'banned'

export interface PeerRecord {
  /** Peer id; absent until whoever answers at the address has been met. */
  id?: string
  name?: string
  origin: PeerOrigin
  /** Multiaddrs without peer id, those that worked first; at most `MAX_ADDRESSES`. */
  addresses: string[]
  /** When a connection was last known to work, milliseconds since 1970. */
  lastSeen?: number
  /** Points for breaking the rules, as of `penaltyAt`; they fade. */
  penalty: number
  penaltyAt: number
  /** The last offence, in words. */
  offence?: string
  bannedUntil?: number
  /** The rest is not kept on disk. */
  state: PeerState
  /** Why the peer is not connected, in words. */
  failure?: string
  /** Dials that failed since the last that worked. */
  failures: number
  /** When to dial next, milliseconds since 1970. */
  retryAt: number
  /** Round trip in milliseconds. */
  latency?: number
  bytesIn: number
  bytesOut: number
}

/** Addresses kept of one peer. More are a way to make us dial around. */
export const MAX_ADDRESSES = 8

export function newRecord(origin: PeerOrigin, addresses: readonly string[], id?: string): PeerRecord {
  return {
    ...(id !== undefined && { id }),
    origin,
    addresses: addresses.slice(0, MAX_ADDRESSES),
    penalty: 0,
    penaltyAt: 0,
    state: 'waiting',
    failures: 0,
    retryAt: 0,
    bytesIn: 0,
    bytesOut: 0,
  }
}

/** Puts an address first; the least useful one, which is last, gives way. */
export function preferAddress(record: PeerRecord, address: string): void {
  record.addresses = [address, ...record.addresses.filter((known) => known !== address)].slice(
    0,
    MAX_ADDRESSES,
  )
}

/**
 * Adds addresses that were told of. The one that worked last stays first; what is new comes before what is old, so that a peer that moved
 * is found.
 *
 * @returns whether any was not known
 */
export function addAddresses(record: PeerRecord, told: readonly string[]): boolean {
  const [first, ...rest] = record.addresses
  const isNew = told.some((address) => !record.addresses.includes(address))
  const merged = [...(first === undefined ? [] : [first]), ...told, ...rest]
  record.addresses = [...new Set(merged)].slice(0, MAX_ADDRESSES)
  return isNew
}
