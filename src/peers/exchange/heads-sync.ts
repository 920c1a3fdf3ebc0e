import {
  HEADS_ANSWER,
  HEADS_REQUEST,
  type HeadsAnswer,
  type HeadsRequest,
  type KnownHead,
  MAX_HEADS,
  MAX_HEADS_MESSAGE,
  MAX_KNOWN_HEADS,
  MessageError,
} from '../../../protocol/index.ts'
import { TokenBucket } from '../../util/token-bucket.ts'
import type { PeerKey } from '../inventory/directory.ts'
import { type HeadTable, peerKey } from './head-table.ts'
import type { MeshPort } from './port.ts'

/** Between two rounds with a peer at random, on average: finds what gossip lost. One round without news costs some 20 bytes. */
export const SYNC_INTERVAL = 10_000
/** After a connection, and after news: several peers are told at different moments, and several news together. */
export const SYNC_DELAY = 50
export const SYNC_JITTER = 150
/** Peers that news are brought to, when they did not come by gossip: they bring them to as many others. */
export const NEWS_FANOUT = 4
/** Rounds that a node begins at once, and each second: a round may cost a list of all heads, and a flood of news would make many. */
const ROUND_BURST = 16
const ROUND_RATE = 1
/** Milliseconds until the next one after too many. */
const PAUSE = 1000 / ROUND_RATE
/** Rounds under way at a time. */
const MAX_ROUNDS = 8
/** Requests of one round: enough for a full table. */
const MAX_REQUESTS = 64
/** In a message, beside heads: its other fields at their longest. */
const ROOM_FOR_HEADS = MAX_HEADS_MESSAGE - 128 * 1024
/** What tag and length of a head in a message take. */
const HEAD_OVERHEAD = 5

/** Brings the heads that two nodes know to the same state, over streams. */
export class HeadsSync {
  readonly #table: HeadTable
  readonly #port: MeshPort
  readonly #random: () => number
  readonly #take: (signed: Uint8Array, from: PeerKey, now: number) => void
  readonly #fault: (peer: PeerKey, now: number) => void
  readonly #connected = new Set<PeerKey>()
  readonly #busy = new Set<PeerKey>()
  /** Rounds to come, by the moment when they are due. */
  readonly #planned = new Map<PeerKey, number>()
  readonly #rounds: TokenBucket
  #next: number
  /** No round begins before: too many did. */
  #pausedUntil = 0

  /**
   * @param take is given heads that came over a stream
   * @param fault is told of peers that break the contract
   */
  constructor(
    components: {
      table: HeadTable
      port: MeshPort
      random: () => number
      take: (signed: Uint8Array, from: PeerKey, now: number) => void
      fault: (peer: PeerKey, now: number) => void
    },
    now: number,
  ) {
    this.#table = components.table
    this.#port = components.port
    this.#random = components.random
    this.#take = components.take
    this.#fault = components.fault
    this.#rounds = new TokenBucket(ROUND_BURST, ROUND_RATE, now)
    this.#next = now + this.#random() * SYNC_INTERVAL
  }

  get due(): number {
    let due = this.#connected.size > 0 ? this.#next : Number.POSITIVE_INFINITY
    if (this.#busy.size >= MAX_ROUNDS) return due
    // whoever is busy gets the next round when this one is over
    for (const [peer, at] of this.#planned) {
      if (!this.#busy.has(peer)) due = Math.min(due, Math.max(at, this.#pausedUntil))
    }
    return due
  }

  connected(peer: PeerKey, now: number): void {
    this.#connected.add(peer)
    this.#plan(peer, now)
  }

  disconnected(peer: PeerKey): void {
    this.#connected.delete(peer)
    this.#planned.delete(peer)
  }

  /** We learnt something over a stream; whoever gets no gossip from there should hear of it. */
  news(from: PeerKey, now: number): void {
    const others = [...this.#connected].filter((peer) => peer !== from && !this.#planned.has(peer))
    for (let i = 0; i < NEWS_FANOUT && others.length > 0; i++) {
      const [peer] = others.splice(Math.floor(this.#random() * others.length), 1)
      this.#plan(peer!, now)
    }
  }

  tick(now: number): void {
    // times that are too far off are of a clock that was put back since
    if (now >= this.#next || this.#next > now + 2 * SYNC_INTERVAL) {
      this.#next = now + SYNC_INTERVAL * (0.5 + this.#random())
      const peers = [...this.#connected]
      if (peers.length > 0) this.#planned.set(peers[Math.floor(this.#random() * peers.length)]!, now)
    }
    if (now < this.#pausedUntil && this.#pausedUntil <= now + PAUSE) return
    for (const [peer, at] of this.#planned) {
      const early = at > now && at <= now + SYNC_DELAY + SYNC_JITTER
      if (early || this.#busy.size >= MAX_ROUNDS || this.#busy.has(peer)) continue
      if (!this.#rounds.take(now)) {
        this.#pausedUntil = now + PAUSE
        return
      }
      this.#planned.delete(peer)
      this.#begin(peer)
    }
  }

  /** Answers another node's request. */
  answer(peer: PeerKey, request: HeadsRequest, now: number): HeadsAnswer {
    for (const signed of request.heads) this.#take(signed, peer, now)
    const heads: Uint8Array[] = []
    let room = ROOM_FOR_HEADS
    for (const id of request.want) {
      const signed = this.#table.signed(peerKey(id))
      if (signed === undefined) continue
      room -= signed.length + HEAD_OVERHEAD
      if (room < 0 || heads.length === MAX_HEADS) break
      heads.push(signed)
    }
    const differs = request.fingerprint !== undefined && !this.#table.fingerprint.equals(request.fingerprint)
    return { differs, known: differs ? this.#table.known() : [], heads }
  }

  #plan(peer: PeerKey, now: number): void {
    const at = now + SYNC_DELAY + this.#random() * SYNC_JITTER
    this.#planned.set(peer, Math.min(at, this.#planned.get(peer) ?? at))
  }

  #begin(peer: PeerKey): void {
    this.#busy.add(peer)
    this.#ask(peer, { fingerprint: this.#table.fingerprint, heads: [], want: [] }, (answer) => {
      if (!answer.differs) this.#busy.delete(peer)
      else this.#exchange(peer, ...this.#differences(answer.known), 1)
    })
  }

  /** Whose heads the other side should get, and whose we want. */
  #differences(known: readonly KnownHead[]): [give: PeerKey[], want: Map<PeerKey, Uint8Array>] {
    const give = new Set(this.#table.known().map(({ peer }) => peerKey(peer)))
    const want = new Map<PeerKey, Uint8Array>()
    for (const theirs of known) {
      const peer = peerKey(theirs.peer)
      const ours = this.#table.head(peer)
      const order = ours === undefined ? 1 : theirs.epoch - ours.epoch || theirs.seq - ours.seq
      if (order >= 0) give.delete(peer)
      if (order > 0) want.set(peer, theirs.peer)
    }
    return [[...give], want]
  }

  #exchange(peer: PeerKey, give: PeerKey[], want: Map<PeerKey, Uint8Array>, requests: number): void {
    const heads: Uint8Array[] = []
    let room = ROOM_FOR_HEADS
    while (give.length > 0 && heads.length < MAX_HEADS) {
      const signed = this.#table.signed(give.at(-1)!)
      room -= (signed?.length ?? 0) + HEAD_OVERHEAD
      if (room < 0) break
      give.pop()
      if (signed !== undefined) heads.push(signed)
    }
    const asked = [...want.keys()].slice(0, MAX_KNOWN_HEADS)
    if ((heads.length === 0 && asked.length === 0) || requests > MAX_REQUESTS) {
      this.#busy.delete(peer)
      return
    }
    const request = { heads, want: asked.map((key) => want.get(key)!) }
    this.#ask(peer, request, (answer, now) => {
      for (const signed of answer.heads) this.#take(signed, peer, now)
      // answers come in the order of the question, and leave out what is not there: those before the last one are done
      const left = answer.heads.length === 0 ? new Map<PeerKey, Uint8Array>() : want
      for (const key of asked.slice(0, answer.heads.length)) left.delete(key)
      this.#exchange(peer, give, left, requests + 1)
    })
  }

  #ask(peer: PeerKey, request: HeadsRequest, then: (answer: HeadsAnswer, now: number) => void): void {
    this.#port.request(peer, 'heads', HEADS_REQUEST.encode(request), (bytes, now) => {
      const answer = bytes === undefined ? undefined : this.#decode(peer, bytes, now)
      if (answer === undefined || answer.refusal !== undefined) this.#busy.delete(peer)
      else then(answer, now)
    })
  }

  #decode(peer: PeerKey, bytes: Uint8Array, now: number): HeadsAnswer | undefined {
    try {
      return HEADS_ANSWER.decode(bytes)
    } catch (error) {
      if (!(error instanceof MessageError)) throw error
      this.#fault(peer, now)
      return undefined
    }
  }
}
