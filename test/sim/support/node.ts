import { hash } from 'node:crypto'
import type { Verify } from '../../../src/peers/exchange/head-signature.ts'
import { peerKey } from '../../../src/peers/exchange/head-table.ts'
import { InventoryExchange } from '../../../src/peers/exchange/inventory-exchange.ts'
import { packHashes } from '../../../src/peers/hashes.ts'
import { OwnInventory } from '../../../src/peers/inventory/own-inventory.ts'
import { SharePolicy, type ShareSetting } from '../../../src/peers/inventory/share-policy.ts'
import type { Random } from '../../fuzz/random.ts'
import { SimDisk } from './disk.ts'
import type { Endpoint, SimNetwork } from './network.ts'

/** So long gossipsub remembers a message, in milliseconds. */
const SEEN = 120_000

/** What a node of the simulator is made of. */
export interface SimNodeOptions {
  readonly network: SimNetwork
  readonly random: Random
  readonly share: ShareSetting
  /** Names of the packages in the node's store by their hash parts; the node reads it, tests write it. */
  readonly packages: Map<string, string>
  /** Told what the node learns of others. */
  readonly learnt: (peer: string, hashes: readonly Uint8Array[], now: number) => void
}

/** One node: the real logic on a virtual clock and network, with gossip to its neighbours as gossipsub's mesh does it. */
export class SimNode implements Endpoint {
  readonly key: string
  readonly disk = new SimDisk()
  readonly packages: Map<string, string>
  /** Nodes that it keeps connections to. */
  readonly neighbours = new Set<SimNode>()
  running = false
  exchange!: InventoryExchange
  inventory!: OwnInventory
  readonly #id: Buffer
  readonly #options: SimNodeOptions
  #seen = new Map<string, number>()
  #run = 0
  #timer = Number.POSITIVE_INFINITY

  constructor(index: number, options: SimNodeOptions) {
    this.#id = hash('sha256', `node ${index}`, 'buffer')
    this.key = peerKey(this.#id)
    this.packages = options.packages
    this.#options = options
    options.network.add(this.key, this)
  }

  get #now(): number {
    return this.#options.network.scheduler.now
  }

  /** Starts the node with what its disk holds, and connects it to its neighbours. */
  async start(): Promise<void> {
    const { network, random, share, packages, learnt } = this.#options
    this.inventory = await OwnInventory.open(
      {
        feed: {
          hashes: () => [packHashes([...packages.keys()])],
          name: (hash) => Promise.resolve(packages.get(hash)),
        },
        policy: new SharePolicy(share),
        journal: this.disk,
      },
      this.#now,
    )
    const run = ++this.#run
    this.running = true
    this.#seen = new Map()
    this.#timer = Number.POSITIVE_INFINITY
    this.exchange = new InventoryExchange(
      {
        self: this.#id,
        network: 'sim',
        log: this.inventory.log,
        port: {
          publish: (data) => this.#gossip(data, undefined),
          request: (peer, protocol, data, done) => {
            network.request(this.key, peer, protocol, data, (answer) => {
              if (run !== this.#run) return
              done(answer, this.#now)
              this.#wake()
            })
          },
        },
        sign: (message) => simSignature(this.#id, message),
        verify: simVerify,
        random: () => random.below(2 ** 30) / 2 ** 30,
        learnt: (peer, hashes) => learnt(peer, hashes, this.#now),
        outrun: (epoch) => network.scheduler.background(this.#renew(epoch)),
      },
      this.#now,
    )
    for (const neighbour of this.neighbours) this.connect(neighbour)
    this.#wake()
  }

  stop(): void {
    this.running = false
    this.#run++
    for (const neighbour of this.neighbours) if (neighbour.running) neighbour.disconnected(this)
  }

  /** Says hello, and is answered, when the two reach each other. */
  connect(peer: SimNode): void {
    const { network } = this.#options
    if (!network.reaches(this.key, peer.key)) return
    const greet = (from: SimNode, to: SimNode, then?: () => void): void => {
      const hello = from.exchange.hello(to.key, this.#now)
      network.send(from.key, to.key, 'hello', Buffer.concat([hello.head, hello.yours]), () => {
        to.exchange.connected(from.key, hello, this.#now)
        to.#wake()
        then?.()
      })
    }
    greet(this, peer, () => greet(peer, this))
  }

  disconnected(peer: SimNode): void {
    this.exchange.disconnected(peer.key, this.#now)
    this.#wake()
  }

  /** Puts packages into the store, as after an `add`. */
  async add(packages: readonly { hash: string; name: string }[]): Promise<void> {
    for (const { hash, name } of packages) this.packages.set(hash, name)
    const { seq } = this.inventory.log
    await this.inventory.published(packages)
    if (this.inventory.log.seq !== seq) this.exchange.changed(this.#now)
    this.#wake()
  }

  async remove(hashes: readonly string[]): Promise<void> {
    for (const hash of hashes) this.packages.delete(hash)
    await this.inventory.removed(hashes)
    this.exchange.changed(this.#now)
    this.#wake()
  }

  receiveGossip(data: Uint8Array, from: string): void {
    const id = hash('sha1', data)
    if (this.#hasSeen(id)) return
    const verdict = this.exchange.gossip(data, from, this.#now)
    if (verdict === 'accept') this.#gossip(data, from)
    this.#wake()
  }

  answer(protocol: 'heads' | 'inventory', data: Uint8Array, from: string): Uint8Array | undefined {
    const answer =
      protocol === 'heads'
        ? this.exchange.answerHeads(from, data, this.#now)
        : this.exchange.answerInventory(from, data, this.#now)
    this.#wake()
    return answer
  }

  async #renew(epoch: number): Promise<void> {
    await this.inventory.renew(epoch)
    this.exchange.renewed(this.#now)
    this.#wake()
  }

  #gossip(data: Uint8Array, from: string | undefined): void {
    if (from === undefined) this.#hasSeen(hash('sha1', data))
    for (const neighbour of this.neighbours) {
      if (neighbour.key === from || !this.#options.network.reaches(this.key, neighbour.key)) continue
      this.#options.network.send(this.key, neighbour.key, 'gossip', data, (to) =>
        to.receiveGossip(data, this.key),
      )
    }
  }

  #hasSeen(id: string): boolean {
    const now = this.#now
    for (const [oldest, at] of this.#seen) {
      if (at > now - SEEN) break
      this.#seen.delete(oldest)
    }
    if (this.#seen.has(id)) return true
    this.#seen.set(id, now)
    return false
  }

  /** Makes the timer ring when the logic wants it. */
  #wake(): void {
    const { due } = this.exchange
    if (due >= this.#timer) return
    this.#timer = due
    const run = this.#run
    this.#options.network.scheduler.at(due, () => {
      if (run !== this.#run || this.#timer !== due) return
      this.#timer = Number.POSITIVE_INFINITY
      this.exchange.tick(this.#now)
      this.#wake()
    })
  }
}

/** Stands for Ed25519, which 100,000 times would take most of the test's time: nobody in the simulator forges signatures of others. */
export function simSignature(id: Uint8Array, message: Uint8Array): Buffer {
  return hash('sha512', Buffer.concat([id, message]), 'buffer')
}

const simVerify: Verify = (peer, message, signature) => simSignature(peer, message).equals(signature)
