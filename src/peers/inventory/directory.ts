import { ExpiringMap } from './expiring-map.ts'
import type { FollowedSet } from './followed-set.ts'

/** A peer within the mesh's logic: its binary id in hexadecimal. */
export type PeerKey = string

/** Prefixes of all followed peers together: 256 MB. Beyond that, peers of which nothing was heard for longest are only asked. */
export const MAX_FOLLOWED_TOTAL = 32_000_000
/** Answers of peers to `have?` that are remembered: some 200 bytes each. */
export const MAX_HINTS = 50_000
/** How long such an answer counts: packages are removed rarely. */
export const HINT_LIFETIME = 10 * 60 * 1000
/** Packages that nobody had, as far as anybody who was asked said. */
export const MAX_MISSES = 50_000
/** How long nobody is asked again: a head that names the package ends it at once. */
export const MISS_LIFETIME = 60 * 1000
/** In so much time a peer's bad marks count half. */
export const FAULT_HALF_LIFE = 10 * 60 * 1000
/** Bad marks from which on a peer is only asked when nobody else has the package. */
export const DOUBTFUL = 3
/** Bad marks of one peer: a peer that always lied is believed again within an hour and a half of silence about it. */
const MAX_FAULTS = 256

/** Where the set that is followed now is found. */
interface Followed {
  readonly set: FollowedSet
}

interface Entry {
  readonly followed: Followed | undefined
  connected: boolean
  /** When the last head or connection was. */
  heard: number
  faults: number
  faultsAt: number
}

/**
 * Who probably has a package: from the inventories that are followed, and from answers to `have?`. A hit is a hint and never a fact; who
 * was named and did not deliver is asked later than others. Answers from memory, whatever the number of packages, within a bound on
 * memory.
 */
export class Directory {
  readonly #peers = new Map<PeerKey, Entry>()
  readonly #hints = new ExpiringMap<string, boolean>(MAX_HINTS, HINT_LIFETIME)
  readonly #misses = new ExpiringMap<string, true>(MAX_MISSES, MISS_LIFETIME)

  /** Lets a peer's inventory count, as it is whenever somebody asks. */
  follow(peer: PeerKey, followed: Followed, now: number): void {
    this.#peers.set(peer, { ...(this.#peers.get(peer) ?? fresh(now)), followed, heard: now })
  }

  /** Forgets all about a peer. */
  forget(peer: PeerKey): void {
    this.#peers.delete(peer)
  }

  connected(peer: PeerKey, connected: boolean, now: number): void {
    const entry = this.#peers.get(peer)
    // of a peer that was never followed there is only its standing to remember
    if (!connected && entry?.followed === undefined && this.faults(peer, now) < 1) this.#peers.delete(peer)
    else this.#peers.set(peer, { ...(entry ?? fresh(now)), connected, heard: now })
  }

  /**
   * Peers that probably have a package, the likeliest to deliver first: those in good standing before doubtful ones, connected
   * ones before others.
   *
   * @param hash the 20 bytes of a hash part
   */
  providers(hash: Uint8Array, now: number): PeerKey[] {
    const key = hex(hash)
    const found: { peer: PeerKey; rank: number }[] = []
    for (const [peer, entry] of this.#peers) {
      const has = this.#hints.get(`${peer} ${key}`, now) ?? entry.followed?.set.has(hash)
      if (has !== true) continue
      const faults = this.faults(peer, now)
      found.push({ peer, rank: (faults >= DOUBTFUL ? 1e6 : 0) + (entry.connected ? 0 : 1e3) + faults })
    }
    return found.sort((a, b) => a.rank - b.rank).map(({ peer }) => peer)
  }

  /** Whether everybody who was asked a moment ago did not have the package, and no inventory names it since. */
  missing(hash: Uint8Array, now: number): boolean {
    return this.#misses.get(hex(hash), now) === true && this.providers(hash, now).length === 0
  }

  /** What a peer said to `have?`. */
  told(peer: PeerKey, hash: Uint8Array, has: boolean, now: number): void {
    this.#hints.set(`${peer} ${hex(hash)}`, has, now)
    if (has) this.#misses.delete(hex(hash))
  }

  /** Everybody who was asked said no, or nothing. */
  missed(hash: Uint8Array, now: number): void {
    this.#misses.set(hex(hash), true, now)
  }

  /** A peer delivered what it said it has: it is believed again sooner. */
  delivered(peer: PeerKey, now: number): void {
    const entry = this.#peers.get(peer)
    if (entry !== undefined) this.#mark(entry, -0.5, now)
  }

  /**
   * A peer did not deliver a package that it said it has. It is not named for this package for a while.
   *
   * @param weight 1 for a package that is not there or breaks off, more for contents that are wrong
   */
  failed(peer: PeerKey, hash: Uint8Array, now: number, weight = 1): void {
    this.#hints.set(`${peer} ${hex(hash)}`, false, now)
    this.fault(peer, now, weight)
  }

  /** A peer broke the contract in some other way. */
  fault(peer: PeerKey, now: number, weight = 1): void {
    const entry = this.#peers.get(peer)
    if (entry !== undefined) this.#mark(entry, weight, now)
  }

  /** A peer's bad marks, as far as they count still. */
  faults(peer: PeerKey, now: number): number {
    const entry = this.#peers.get(peer)
    if (entry === undefined) return 0
    return entry.faults * 0.5 ** (Math.max(0, now - entry.faultsAt) / FAULT_HALF_LIFE)
  }

  /** Number of packages that a peer is known to have. */
  count(peer: PeerKey): number | undefined {
    return this.#peers.get(peer)?.followed?.set.count
  }

  /** The peers whose sets must go so that all keep to the bound on memory: longest unheard ones first, connected ones last. */
  excess(): PeerKey[] {
    let total = 0
    for (const { followed } of this.#peers.values()) total += followed?.set.count ?? 0
    if (total <= MAX_FOLLOWED_TOTAL) return []
    const surplus: PeerKey[] = []
    const order = [...this.#peers].sort(
      ([, a], [, b]) => Number(a.connected) - Number(b.connected) || a.heard - b.heard,
    )
    for (const [peer, { followed }] of order) {
      if (total <= MAX_FOLLOWED_TOTAL) break
      if (followed === undefined) continue
      total -= followed.set.count
      surplus.push(peer)
    }
    return surplus
  }

  #mark(entry: Entry, weight: number, now: number): void {
    const left = entry.faults * 0.5 ** (Math.max(0, now - entry.faultsAt) / FAULT_HALF_LIFE)
    entry.faults = Math.min(MAX_FAULTS, Math.max(0, left + weight))
    entry.faultsAt = now
  }
}

function fresh(now: number): Entry {
  return { followed: undefined, connected: false, heard: now, faults: 0, faultsAt: now }
}

function hex(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('hex')
}
