import {
  type Head,
  INVENTORY_ANSWER,
  INVENTORY_REQUEST,
  type InventoryAnswer,
  MessageError,
} from '../../../protocol/index.ts'
import type { Directory, PeerKey } from '../inventory/directory.ts'
import { prefixesOf } from '../inventory/followed-set.ts'
import { Follower } from '../inventory/follower.ts'
import type { InventoryLog } from '../inventory/inventory-log.ts'
import type { MeshPort } from './port.ts'
import { PullQueue } from './pull-queue.ts'

/** An answer that takes longer costs its peer the turn: others are asked before it is asked on. */
const SLOW_ANSWER = 1000

/** How often all inventories together are held against the bound on memory, in milliseconds. */
const ROOM_INTERVAL = 1000

/** Follows the inventories of all peers whose heads are known, as far as memory allows: asks them what their heads do not say. */
export class Following {
  readonly #log: InventoryLog
  readonly #port: MeshPort
  readonly #directory: Directory
  readonly #learnt: (peer: PeerKey, hashes: Uint8Array[]) => void
  readonly #pulls: PullQueue
  readonly #followers = new Map<PeerKey, Follower>()
  /** Peers whose inventories find no room in memory. */
  readonly #dropped = new Set<PeerKey>()
  #roomMade = 0

  constructor(
    components: {
      log: InventoryLog
      port: MeshPort
      random(): number
      learnt?(peer: PeerKey, hashes: Uint8Array[]): void
    },
    directory: Directory,
  ) {
    this.#log = components.log
    this.#port = components.port
    this.#learnt = (peer, hashes) => components.learnt?.(peer, hashes)
    this.#pulls = new PullQueue(components.random)
    this.#directory = directory
  }

  get due(): number {
    return this.#pulls.due
  }

  /** Whether what we know of a peer is the state of its newest head; `undefined` when it is not followed. */
  current(peer: PeerKey): boolean | undefined {
    return this.#followers.get(peer)?.current
  }

  tick(now: number): void {
    for (let peer = this.#pulls.take(now); peer !== undefined; peer = this.#pulls.take(now))
      this.#ask(peer, now)
  }

  connected(peer: PeerKey, now: number): void {
    this.#pulls.connected(peer, now)
  }

  disconnected(peer: PeerKey): void {
    this.#pulls.disconnected(peer)
  }

  /** There is a newer head of a peer. */
  head(peer: PeerKey, head: Head, now: number): void {
    if (this.#dropped.has(peer)) return
    let follower = this.#followers.get(peer)
    if (follower === undefined) {
      follower = new Follower(
        () => prefixesOf(this.#log.hashes()),
        (hashes) => this.#learnt(peer, hashes),
      )
      this.#followers.set(peer, follower)
    }
    this.#directory.follow(peer, follower, now)
    if (follower.head(head) === 'ask') this.#pulls.want(peer, now)
  }

  /** Peers that are gone for long. */
  forget(peers: readonly PeerKey[]): void {
    for (const peer of peers) this.#unfollow(peer)
    // there may be room again, which their next heads find
    if (peers.length > 0) this.#dropped.clear()
  }

  #ask(peer: PeerKey, asked: number): void {
    const follower = this.#followers.get(peer)
    const request = follower?.request()
    if (follower === undefined || request === undefined) {
      this.#pulls.done(peer)
      return
    }
    this.#port.request(peer, 'inventory', INVENTORY_REQUEST.encode(request), (bytes, now) => {
      if (this.#followers.get(peer) === follower) this.#answered(peer, follower, bytes, asked, now)
    })
  }

  #answered(
    peer: PeerKey,
    follower: Follower,
    bytes: Uint8Array | undefined,
    asked: number,
    now: number,
  ): void {
    const answer = bytes === undefined ? undefined : this.#decode(peer, bytes, now)
    if (answer === undefined) {
      this.#pulls.failed(peer, now)
      return
    }
    const step = follower.answer(answer)
    if (step === 'failed') {
      if (answer.refusal === undefined) this.#directory.fault(peer, now)
      this.#pulls.failed(peer, now)
    } else if (step === 'ask' && now - asked <= SLOW_ANSWER) {
      this.#ask(peer, now)
    } else {
      this.#pulls.done(peer)
      if (step === 'ask') this.#pulls.want(peer, now)
      else this.#makeRoom(now)
    }
  }

  #decode(peer: PeerKey, bytes: Uint8Array, now: number): InventoryAnswer | undefined {
    try {
      return INVENTORY_ANSWER.decode(bytes)
    } catch (error) {
      if (!(error instanceof MessageError)) throw error
      this.#directory.fault(peer, now)
      return undefined
    }
  }

  #makeRoom(now: number): void {
    if (now < this.#roomMade + ROOM_INTERVAL) return
    this.#roomMade = now
    for (const peer of this.#directory.excess()) {
      this.#unfollow(peer)
      this.#dropped.add(peer)
    }
  }

  #unfollow(peer: PeerKey): void {
    this.#followers.delete(peer)
    this.#pulls.forget(peer)
    this.#directory.forget(peer)
  }
}
