import { createHash } from 'node:crypto'
import {
  HEAD,
  HEAD_BURST,
  type Head,
  headMessage,
  type KnownHead,
  MAX_CLOCK_SKEW,
  MAX_KNOWN_HEADS,
  MessageError,
  SIGNED_HEAD,
  type SignedHead,
} from '../../../protocol/index.ts'
import { TokenBucket } from '../../util/token-bucket.ts'
import type { PeerKey } from '../inventory/directory.ts'
import { Fingerprint } from '../inventory/fingerprint.ts'
import type { Verify } from './head-signature.ts'

/** Heads older than this are no longer passed on, and their peers forgotten: a machine that is off over a weekend is not. */
export const MAX_HEAD_AGE = 4 * 24 * 60 * 60 * 1000
/** When the table is full, a newcomer takes the place of a peer that was silent for so long. */
const REPLACEABLE_AFTER = 2 * 60 * 60 * 1000
/** Heads that one neighbour may hand over at once, and each second: each may cost a verification, of some 0.1 ms. */
export const NEIGHBOUR_BURST = 2048
export const NEIGHBOUR_RATE = 100
/** Neighbours whose rates are remembered. */
const MAX_NEIGHBOURS = 4096

/**
 * What is made of a head: `new`, it is newer than what was known, and is passed on; `changed` when it says more
 * than that the peer is alive. `old`, it is not news, or came too fast, or from a clock
 * that is wrong: it is not passed on, and nobody is to blame. `bad`, whoever passed it on broke the contract.
 */
export type Verdict =
  | { readonly kind: 'new'; readonly head: Head; readonly peer: PeerKey; readonly changed: boolean }
  | { readonly kind: 'own'; readonly head: Head }
  | { readonly kind: 'old'; readonly why: string }
  | { readonly kind: 'bad'; readonly why: string }

interface Entry {
  readonly head: Head
  readonly signed: Uint8Array
  readonly mark: Buffer
}

/** The newest head of every peer of the network, our own among them. Decides which heads are let in. */
export class HeadTable {
  readonly #network: string
  readonly #self: PeerKey
  readonly #verify: Verify
  readonly #admits: (peer: PeerKey) => boolean
  readonly #entries = new Map<PeerKey, Entry>()
  readonly #fingerprint = new Fingerprint()
  readonly #origins = new Map<PeerKey, TokenBucket>()
  readonly #neighbours = new Map<PeerKey, TokenBucket>()

  /** @param admits whether heads of this peer are of interest: the mesh's policy */
  constructor(network: string, self: PeerKey, verify: Verify, admits: (peer: PeerKey) => boolean) {
    this.#network = network
    this.#self = self
    this.#verify = verify
    this.#admits = admits
  }

  /** Fingerprint of all known heads: peers with the same one know the same. */
  get fingerprint(): Buffer {
    return this.#fingerprint.bytes()
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * Judges a signed head, and keeps it when it is new.
   *
   * @param from the neighbour that handed it over
   */
  take(signed: Uint8Array, from: PeerKey, now: number): Verdict {
    if (!bucket(this.#neighbours, from, NEIGHBOUR_BURST, NEIGHBOUR_RATE, now).take(now))
      return old('too many at once')
    let envelope: SignedHead
    let head: Head
    try {
      envelope = SIGNED_HEAD.decode(signed)
      head = HEAD.decode(envelope.body)
    } catch (error) {
      if (error instanceof MessageError) return bad(error.message)
      throw error
    }
    if (head.network !== this.#network) return bad('is of another network')
    const peer = peerKey(head.peer)
    if (head.time > now + MAX_CLOCK_SKEW) return old('comes from the future')
    if (head.time < now - MAX_HEAD_AGE) return old('is too old')
    const known = this.#entries.get(peer)?.head
    if (known !== undefined && !(peer === this.#self ? contradicts(head, known) : isNewer(head, known))) {
      return old('is known')
    }
    if (!this.#admits(peer)) return old('is of a peer that is not admitted')
    if (!this.#verify(head.peer, headMessage(envelope.body), envelope.signature))
      return bad('has a bad signature')
    // we lost our log, or another node has a copy of our key
    if (peer === this.#self) return { kind: 'own', head }
    if (!bucket(this.#origins, peer, HEAD_BURST, 1, now).take(now)) return old('comes too fast')
    if (known === undefined && !this.#makeRoom(now)) return old('finds no room')
    this.#set(peer, head, signed)
    return { kind: 'new', head, peer, changed: head.epoch !== known?.epoch || head.seq !== known.seq }
  }

  /** Puts in our own head. */
  setOwn(head: Head, signed: Uint8Array): void {
    this.#set(this.#self, head, signed)
  }

  signed(peer: PeerKey): Uint8Array | undefined {
    return this.#entries.get(peer)?.signed
  }

  head(peer: PeerKey): Head | undefined {
    return this.#entries.get(peer)?.head
  }

  /** What is known, as it is told to others. */
  known(): KnownHead[] {
    return Array.from(this.#entries.values(), ({ head: { peer, epoch, seq } }) => ({ peer, epoch, seq }))
  }

  /** Forgets peers that were silent for too long. @returns which */
  age(now: number): PeerKey[] {
    const gone: PeerKey[] = []
    for (const [peer, { head }] of this.#entries) {
      if (peer !== this.#self && head.time < now - MAX_HEAD_AGE) gone.push(peer)
    }
    for (const peer of gone) this.#delete(peer)
    return gone
  }

  /** A full table lets a newcomer in only for a peer that was silent for long: a flood of new peers displaces nobody. */
  #makeRoom(now: number): boolean {
    if (this.#entries.size < MAX_KNOWN_HEADS) return true
    let oldest: PeerKey | undefined
    let time = now - REPLACEABLE_AFTER
    for (const [peer, { head }] of this.#entries) {
      if (peer === this.#self || head.time >= time) continue
      oldest = peer
      time = head.time
    }
    if (oldest === undefined) return false
    this.#delete(oldest)
    return true
  }

  #set(peer: PeerKey, head: Head, signed: Uint8Array): void {
    this.#delete(peer)
    const mark = markOf(head)
    this.#fingerprint.toggle(mark)
    this.#entries.set(peer, { head, signed: Uint8Array.from(signed), mark })
  }

  #delete(peer: PeerKey): void {
    const entry = this.#entries.get(peer)
    if (entry === undefined) return
    this.#fingerprint.toggle(entry.mark)
    this.#entries.delete(peer)
  }
}

/**
 * Whether `a` says something newer than `b`, of the same peer. Two states with one number are a contradiction: the peer forgot what it once told,
 * and is told so by whoever keeps the first one.
 */
function isNewer(a: Head, b: Head): boolean {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch
  if (a.seq !== b.seq) return a.seq > b.seq
  return a.time > b.time && isSameState(a, b)
}

/** Whether a head with our signature says what our own `known` one cannot be reconciled with: we forgot what we once told. */
function contradicts(head: Head, known: Head): boolean {
  if (head.epoch !== known.epoch) return head.epoch > known.epoch
  if (head.seq !== known.seq) return head.seq > known.seq
  return !isSameState(head, known)
}

function isSameState(a: Head, b: Head): boolean {
  return a.count === b.count && Buffer.compare(a.fingerprint, b.fingerprint) === 0
}

/** A peer's key within the mesh's logic. @param id binary peer id */
export function peerKey(id: Uint8Array): PeerKey {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('hex')
}

/** What a head contributes to the fingerprint of all of them. Heads that only tell that a peer is alive change nothing in it. */
function markOf({ peer, epoch, seq }: Head): Buffer {
  const numbers = Buffer.alloc(16)
  numbers.writeBigUInt64BE(BigInt(epoch))
  numbers.writeBigUInt64BE(BigInt(seq), 8)
  return createHash('sha256').update(peer).update(numbers).digest()
}

function bucket(
  buckets: Map<PeerKey, TokenBucket>,
  peer: PeerKey,
  burst: number,
  perSecond: number,
  now: number,
): TokenBucket {
  let found = buckets.get(peer)
  if (found !== undefined) return found
  // the oldest one goes; a flood of new ids costs the flooder a connection or a key each
  if (buckets.size >= MAX_NEIGHBOURS) buckets.delete(buckets.keys().next().value!)
  found = new TokenBucket(burst, perSecond, now)
  buckets.set(peer, found)
  return found
}

function old(why: string): Verdict {
  return { kind: 'old', why }
}

function bad(why: string): Verdict {
  return { kind: 'bad', why }
}
