/**
 * The peers that a node knows: configured, added and learnt, with what came of them. What is worth keeping outlives
 * restarts.
 *
 * It does not dial; `redialler.ts` does.
 */
import type { Logger } from '../../util/log.ts'
import { formatPeerAddress, type PeerAddress, parsePeerAddress } from '../address.ts'
import { PeerAddressError, UnknownPeerError } from '../errors.ts'
import { FIRST_DELAY } from './backoff.ts'
import { readBookFile, writeBookFile } from './file.ts'
import { isBanned, type Offence, penalize, penaltyOf } from './penalty.ts'
import { addAddresses, newRecord, type PeerOrigin, type PeerRecord, preferAddress } from './record.ts'

/** Peers that were learnt; further ones take the place of the one that was seen longest ago. */
export const MAX_LEARNT_PEERS = 512
/** Peers that were added by hand. */
export const MAX_ADDED_PEERS = 1024

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export interface PeerBookInit {
  /** The file in which the book is kept. */
  readonly path: string
  readonly logger: Logger
  /** Milliseconds since 1970; for tests. */
  readonly now?: () => number
}

export class PeerBook {
  readonly #path: string
  readonly #logger: Logger
  readonly #now: () => number
  readonly #records = new Set<PeerRecord>()
  readonly #byId = new Map<string, PeerRecord>()
  /** The write that runs or was the last to run. */
  #writing: Promise<void> = Promise.resolve()

  /** @throws PeerBookError when the file is damaged */
  constructor(init: PeerBookInit) {
    this.#path = init.path
    this.#logger = init.logger
    this.#now = init.now ?? Date.now
    for (const record of readBookFile(init.path)) {
      if (record.id === undefined || !this.#byId.has(record.id)) this.#insert(record)
    }
  }

  get records(): Iterable<PeerRecord> {
    return this.#records
  }

  /**
   * Takes the peers of the settings. Those that an earlier run had from its settings, and that are not there any more,
   * become learnt ones.
   */
  configure(peers: readonly PeerAddress[]): void {
    for (const record of this.#records) if (record.origin === 'configured') record.origin = 'learnt'
    for (const peer of peers) this.#named(peer, 'configured')
  }

  /**
   * Adds a peer for good, or gives a known one another address or name.
   *
   * @throws PeerAddressError when the name cannot be one or is another peer's, or there are too many peers
   */
  async add(peer: PeerAddress, options: { name?: string } = {}): Promise<PeerRecord> {
    const { name } = options
    if (name !== undefined && !NAME.test(name)) {
      throw new PeerAddressError(
        `'${name}' cannot be a peer's name: letters, digits, '.', '_' and '-', at most 64`,
      )
    }
    const holder = name === undefined ? undefined : this.#byName(name)
    if (holder !== undefined && holder !== this.#known(peer)) {
      throw new PeerAddressError(`another peer is named ${name} already; choose another name`)
    }
    if (this.#count('added') >= MAX_ADDED_PEERS) {
      throw new PeerAddressError(`there are ${MAX_ADDED_PEERS} peers already; remove some first`)
    }
    const record = this.#named(peer, 'added')
    if (name !== undefined) record.name = name
    await this.save()
    return record
  }

  /** @throws UnknownPeerError */
  async remove(reference: string): Promise<PeerRecord> {
    const record = this.find(reference)
    this.#delete(record)
    await this.save()
    return record
  }

  /**
   * The peer with this name, id or address.
   *
   * @throws UnknownPeerError
   */
  find(reference: string): PeerRecord {
    const found =
      this.#byId.get(reference) ??
      this.#byName(reference) ??
      this.#byAddress(reference) ??
      this.#at(reference)
    if (found === undefined) throw new UnknownPeerError(reference)
    return found
  }

  /** The peer with this id, if it is known. */
  get(id: string): PeerRecord | undefined {
    return this.#byId.get(id)
  }

  /** Notes a peer that was heard of or that called. */
  learn(id: string, addresses: readonly string[]): PeerRecord {
    const known = this.#byId.get(id)
    if (known !== undefined) {
      // A peer that moved is tried where it is now, whatever was to be waited for at the old place.
      if (addAddresses(known, addresses)) known.retryAt = Math.min(known.retryAt, this.#now() + FIRST_DELAY)
      return known
    }
    if (this.#count('learnt') >= MAX_LEARNT_PEERS) this.#forgetOne()
    const record = newRecord('learnt', addresses, id)
    this.#insert(record)
    return record
  }

  /** Lets go of a peer that was only heard of. */
  forget(record: PeerRecord): void {
    if (record.origin === 'learnt') this.#delete(record)
  }

  /**
   * Notes who answered at an address.
   *
   * @returns the peer's record; another than was asked for when the peer was known under its id already
   */
  identify(record: PeerRecord, id: string, address: string): PeerRecord {
    const known = this.#byId.get(id)
    if (known === undefined) {
      record.id = id
      this.#byId.set(id, record)
    } else if (known !== record) {
      this.#merge(record, known)
    }
    const found = known ?? record
    preferAddress(found, address)
    return found
  }

  /**
   * Notes that a peer broke the rules.
   *
   * @returns whether it is banned for it
   */
  penalize(id: string, offence: Offence, details: string): boolean {
    const record = this.learn(id, [])
    const banned = penalize(record, offence, details.slice(0, 400), this.#now())
    this.#logger.warn(
      { peer: record.name ?? id, offence, details, banned },
      banned ? 'banned a peer for an hour' : 'a peer broke the rules',
    )
    return banned
  }

  isBanned(id: string): boolean {
    const record = this.#byId.get(id)
    return record !== undefined && isBanned(record, this.#now())
  }

  /** Points against a peer now; 0 for one that behaves. */
  penalty(id: string): number {
    const record = this.#byId.get(id)
    return record === undefined ? 0 : penaltyOf(record, this.#now())
  }

  /** Name for messages: the given name, or the id. */
  nameOf(id: string): string {
    return this.#byId.get(id)?.name ?? id
  }

  /**
   * Writes the book to disk.
   *
   * @throws PeerBookError
   */
  save(): Promise<void> {
    const writing = this.#writing.catch(() => {}).then(() => writeBookFile(this.#path, [...this.#records]))
    this.#writing = writing
    return writing
  }

  #known({ address, id }: PeerAddress): PeerRecord | undefined {
    return id === undefined ? this.#byAddress(address) : (this.#byId.get(id) ?? this.#unmet(address))
  }

  #named(peer: PeerAddress, origin: PeerOrigin): PeerRecord {
    const known = this.#known(peer)
    if (known === undefined) {
      const record = newRecord(origin, [peer.address], peer.id)
      this.#insert(record)
      return record
    }
    if (known.origin !== 'configured') known.origin = origin
    if (peer.id !== undefined && known.id === undefined) this.identify(known, peer.id, peer.address)
    preferAddress(known, peer.address)
    known.retryAt = 0
    known.failures = 0
    delete known.bannedUntil
    return known
  }

  #merge(from: PeerRecord, into: PeerRecord): void {
    this.#delete(from)
    addAddresses(into, from.addresses)
    if (into.origin === 'learnt' || from.origin === 'configured') into.origin = from.origin
    if (from.name !== undefined) into.name = from.name
  }

  #insert(record: PeerRecord): void {
    this.#records.add(record)
    if (record.id !== undefined) this.#byId.set(record.id, record)
  }

  #delete(record: PeerRecord): void {
    this.#records.delete(record)
    if (record.id !== undefined) this.#byId.delete(record.id)
  }

  #byName(name: string): PeerRecord | undefined {
    for (const record of this.#records) if (record.name === name) return record
    return undefined
  }

  #byAddress(address: string): PeerRecord | undefined {
    for (const record of this.#records) {
      if (record.addresses.includes(address)) return record
      if (record.addresses.some((known) => formatPeerAddress({ ...record, address: known }) === address)) {
        return record
      }
    }
    return undefined
  }

  /** The peer at an address as people write it. */
  #at(text: string): PeerRecord | undefined {
    if (!text.includes(':')) return undefined
    try {
      return this.#byAddress(parsePeerAddress(text).address)
    } catch {
      // Not an address either.
      return undefined
    }
  }

  /** A peer at this address whom nobody has met yet. */
  #unmet(address: string): PeerRecord | undefined {
    for (const record of this.#records) {
      if (record.id === undefined && record.addresses.includes(address)) return record
    }
    return undefined
  }

  #count(origin: PeerOrigin): number {
    let count = 0
    for (const record of this.#records) if (record.origin === origin) count++
    return count
  }

  /** Bans are kept: forgetting one would lift it. */
  #forgetOne(): void {
    let oldest: PeerRecord | undefined
    const now = this.#now()
    for (const record of this.#records) {
      if (record.origin !== 'learnt' || record.state === 'connected' || isBanned(record, now)) continue
      if (oldest === undefined || (record.lastSeen ?? 0) < (oldest.lastSeen ?? 0)) oldest = record
    }
    if (oldest === undefined) oldest = [...this.#records].find(({ origin }) => origin === 'learnt')
    if (oldest !== undefined) this.#delete(oldest)
  }
}
