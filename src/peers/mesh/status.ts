import type { PeerBook } from '../book/book.ts'
import { isBanned } from '../book/penalty.ts'
import type { PeerOrigin, PeerRecord, PeerState } from '../book/record.ts'

/** What is told of a peer to people. */
export interface PeerStatus {
  /** Absent until the peer has been met. */
  readonly id?: string
  readonly name?: string
  readonly origin: PeerOrigin
  readonly state: PeerState
  readonly addresses: readonly string[]
  /** Round trip in milliseconds. */
  readonly latency?: number
  /** Number of packages that the peer announces. */
  readonly packages?: number
  /** Since the node started, without what libp2p itself sends. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Milliseconds since 1970. */
  readonly lastSeen?: number
  /** Why it is not connected. */
  readonly failure?: string
  /** When it is dialled next, milliseconds since 1970. */
  readonly retryAt?: number
  /** Points against it, from 0 to 100, where it is banned; they fade. */
  readonly penalty: number
  /** The last offence. */
  readonly offence?: string
  readonly bannedUntil?: number
}

/** What the mesh knows of a peer that is connected or followed. */
export interface LivePeerFacts {
  readonly latency?: number
  readonly packages?: number
}

export function statusOf(record: PeerRecord, book: PeerBook, live: LivePeerFacts): PeerStatus {
  const now = Date.now()
  const { id, name, origin, addresses, bytesIn, bytesOut, failure, offence } = record
  const connected = record.state === 'connected'
  const banned = isBanned(record, now)
  const lastSeen = connected ? now : record.lastSeen
  return {
    ...(id !== undefined && { id }),
    ...(name !== undefined && { name }),
    origin,
    state: banned ? 'banned' : record.state === 'banned' ? 'waiting' : record.state,
    addresses: [...addresses],
    ...live,
    bytesIn,
    bytesOut,
    ...(lastSeen !== undefined && { lastSeen }),
    ...(!connected && failure !== undefined && { failure }),
    ...(!connected && !banned && record.retryAt > now && { retryAt: record.retryAt }),
    penalty: id === undefined ? 0 : Math.round(book.penalty(id)),
    ...(offence !== undefined && { offence }),
    ...(banned && { bannedUntil: record.bannedUntil! }),
  }
}
