import {
  HEADS_ANSWER,
  HEADS_REQUEST,
  type Head,
  INVENTORY_ANSWER,
  INVENTORY_REQUEST,
  REFUSAL_CODES,
} from '../../../protocol/index.ts'
import { TokenBucket } from '../../util/token-bucket.ts'
import { answerInventory } from '../inventory/answer.ts'
import { Directory, type PeerKey } from '../inventory/directory.ts'
import type { InventoryLog } from '../inventory/inventory-log.ts'
import { Following } from './following.ts'
import { HeadPublisher } from './head-publisher.ts'
import { encodeSignedHead, type Verify } from './head-signature.ts'
import { HeadTable, peerKey } from './head-table.ts'
import { HeadsSync } from './heads-sync.ts'
import type { MeshPort } from './port.ts'

/** Bytes of answers that one peer gets at once, and each second: a snapshot of 400,000 packages at once. */
export const ANSWER_BURST = 8 * 1024 * 1024
export const ANSWER_RATE = 2 * 1024 * 1024
/** Peers whose budgets are remembered: more than are connected at a time. */
const MAX_BUDGETS = 1024
/** Between two new epochs of ours: two nodes with a copy of the same key would outrun each other for ever. */
const RENEWAL_INTERVAL = 10_000
/** How often old heads are looked for. */
const AGEING_INTERVAL = 60 * 60 * 1000

const TOO_MUCH = { code: REFUSAL_CODES.BUSY, reason: 'you ask too much' }

/** Where a head goes from here, in gossipsub's words. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject'

export interface ExchangeComponents {
  /** Our binary peer id. */
  readonly self: Uint8Array
  readonly network: string
  readonly log: InventoryLog
  readonly port: MeshPort
  /** Signs with the key of our peer id: 64 bytes. */
  sign(message: Uint8Array): Uint8Array
  readonly verify: Verify
  /** In [0, 1). */
  random(): number
  /** Whether heads of this peer are of interest. */
  admits?(peer: PeerKey): boolean
  /** Is told hash parts that a peer turned out to have and we perhaps do not. */
  learnt?(peer: PeerKey, hashes: Uint8Array[]): void
  /** Our log is behind what others know of it: it must get an epoch of at least this one, and `renewed` be called. */
  outrun?(epoch: number): void
}

/**
 * Who has what, in one node: tells our inventory, follows those of others, and answers both sides' questions. A state machine without
 * input or output: messages, connections and the time are handed in, what is to be sent goes to a `MeshPort`. `due` says when `tick`
 * wants to be called at the latest;
 * where the clock may be put back, it must be called every minute or so as well.
 */
export class InventoryExchange {
  readonly directory = new Directory()
  readonly heads: HeadTable
  readonly #components: ExchangeComponents
  readonly #publisher: HeadPublisher
  readonly #sync: HeadsSync
  readonly #following: Following
  readonly #budgets = new Map<PeerKey, TokenBucket>()
  #lastTime = 0
  #renewed = Number.NEGATIVE_INFINITY
  #ageing: number

  constructor(components: ExchangeComponents, now: number) {
    this.#components = components
    const { network, self, verify, port, random, admits } = components
    this.heads = new HeadTable(network, peerKey(self), verify, admits ?? (() => true))
    this.#publisher = new HeadPublisher(random, now)
    this.#following = new Following(components, this.directory)
    this.#sync = new HeadsSync(
      {
        table: this.heads,
        port,
        random,
        take: (signed, from, at) => {
          this.#takeHead(signed, from, at, true)
        },
        fault: (peer, at) => this.directory.fault(peer, at),
      },
      now,
    )
    this.#ageing = now + AGEING_INTERVAL
    // so that we recognise our own head when it comes back to us
    this.#signedHead(now)
  }

  /** When `tick` is to be called next, if nothing else happens. */
  get due(): number {
    return Math.min(this.#publisher.due, this.#sync.due, this.#following.due, this.#ageing)
  }

  tick(now: number): void {
    if (this.#publisher.isDue(now)) this.#publish(now)
    this.#sync.tick(now)
    this.#following.tick(now)
    if (now >= this.#ageing) this.#age(now)
  }

  /** Our log has new changes, which are durable. */
  changed(now: number): void {
    this.#publisher.changed(now)
  }

  /** Our log has a new epoch, which is durable. */
  renewed(now: number): void {
    this.#publisher.renewed()
    this.#publisher.changed(now)
  }

  /** What our hello to a peer carries: our head, and the newest one of the peer that we know (empty where there is none). */
  hello(peer: PeerKey, now: number): { head: Uint8Array; yours: Uint8Array } {
    const { self, log } = this.#components
    const told = this.heads.head(peerKey(self))
    const fresh = told?.epoch === log.epoch && told.seq === log.seq
    const head = fresh ? this.heads.signed(peerKey(self))! : this.#signedHead(now)
    return { head, yours: this.heads.signed(peer) ?? new Uint8Array(0) }
  }

  /** A peer is connected, and its hello has come. */
  connected(peer: PeerKey, hello: { head: Uint8Array; yours: Uint8Array }, now: number): void {
    this.directory.connected(peer, true, now)
    for (const signed of [hello.head, hello.yours]) {
      if (signed.length > 0) this.#takeHead(signed, peer, now, true)
    }
    this.#sync.connected(peer, now)
    this.#following.connected(peer, now)
  }

  disconnected(peer: PeerKey, now: number): void {
    this.directory.connected(peer, false, now)
    this.#sync.disconnected(peer)
    this.#following.disconnected(peer)
  }

  /** A message on the topic. @param from the neighbour that handed it over */
  gossip(data: Uint8Array, from: PeerKey, now: number): GossipVerdict {
    return this.#takeHead(data, from, now, false)
  }

  /** Answers a request on a `heads` stream. @throws MessageError when it is none */
  answerHeads(peer: PeerKey, data: Uint8Array, now: number): Uint8Array {
    const encoded = HEADS_ANSWER.encode(this.#sync.answer(peer, HEADS_REQUEST.decode(data), now))
    if (this.#budget(peer, now).take(now, encoded.length)) return encoded
    return HEADS_ANSWER.encode({ differs: false, known: [], heads: [], refusal: TOO_MUCH })
  }

  /** Answers a request on an `inventory` stream. @throws MessageError when it is none */
  answerInventory(peer: PeerKey, data: Uint8Array, now: number): Uint8Array {
    const answer = answerInventory(this.#components.log, INVENTORY_REQUEST.decode(data))
    const encoded = INVENTORY_ANSWER.encode(answer)
    if (this.#budget(peer, now).take(now, encoded.length)) return encoded
    const { epoch, seq, minSeq, count, fingerprint } = answer
    return INVENTORY_ANSWER.encode({ epoch, seq, minSeq, count, fingerprint, refusal: TOO_MUCH })
  }

  /** Whether what we know of a peer's inventory is that of its newest head; `undefined` when we do not follow it. */
  followsCurrent(peer: PeerKey): boolean | undefined {
    return this.#following.current(peer)
  }

  #publish(now: number): void {
    const { log, port } = this.#components
    const signed = this.#signedHead(now)
    this.#publisher.published(log.seq, now)
    port.publish(signed)
  }

  #signedHead(now: number): Uint8Array {
    const { self, network, log, sign } = this.#components
    // heads of one state are told apart by their times
    this.#lastTime = Math.max(Math.floor(now), this.#lastTime + 1)
    const head: Head = {
      peer: self,
      network,
      epoch: log.epoch,
      seq: log.seq,
      minSeq: log.minSeq,
      count: log.count,
      fingerprint: log.fingerprint,
      newest: log.newest(this.#publisher.carried(log.seq)),
      time: this.#lastTime,
    }
    const signed = encodeSignedHead(head, sign)
    this.heads.setOwn(head, signed)
    return signed
  }

  #takeHead(signed: Uint8Array, from: PeerKey, now: number, overStream: boolean): GossipVerdict {
    const verdict = this.heads.take(signed, from, now)
    switch (verdict.kind) {
      case 'new':
        this.#following.head(verdict.peer, verdict.head, now)
        if (overStream && verdict.changed) this.#sync.news(from, now)
        return 'accept'
      case 'own':
        this.#own(verdict.head, now)
        return 'ignore'
      case 'old':
        return 'ignore'
      case 'bad':
        this.directory.fault(from, now)
        return 'reject'
    }
  }

  #own(head: Head, now: number): void {
    if (now < this.#renewed + RENEWAL_INTERVAL) return
    this.#renewed = now
    this.#components.outrun?.(head.epoch + 1)
  }

  #age(now: number): void {
    this.#ageing = now + AGEING_INTERVAL
    this.#following.forget(this.heads.age(now))
  }

  #budget(peer: PeerKey, now: number): TokenBucket {
    let budget = this.#budgets.get(peer)
    if (budget !== undefined) return budget
    // whose budget is oldest gets a new one when it comes back
    if (this.#budgets.size >= MAX_BUDGETS) this.#budgets.delete(this.#budgets.keys().next().value!)
    budget = new TokenBucket(ANSWER_BURST, ANSWER_RATE, now)
    this.#budgets.set(peer, budget)
    return budget
  }
}
