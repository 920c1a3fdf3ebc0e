import { hash } from 'node:crypto'
import { nix32Decode, nix32Encode } from '../../../src/nix/base32.ts'
import type { ShareSetting } from '../../../src/peers/inventory/share-policy.ts'
import { Random } from '../../fuzz/random.ts'
import { type LinkOptions, SimNetwork } from './network.ts'
import { SimNode } from './node.ts'
import { Scheduler } from './scheduler.ts'

/** A moment in 2026, so that times have their usual length. */
const START = 1_790_000_000_000

/** 50 ms one way, as from one side of a continent to the other. */
export const USUAL: LinkOptions = { latency: 50, jitter: 10, loss: 0, duplication: 0 }

export interface MeshOptions {
  readonly nodes: number
  readonly seed: number
  readonly links?: Partial<LinkOptions>
  readonly share?: (index: number) => ShareSetting
  readonly packages?: (index: number) => Iterable<readonly [hash: string, name: string]>
}

/** When a node learnt of a package of another. */
export interface Learnt {
  readonly node: SimNode
  readonly hash: string
  readonly at: number
}

/** Many nodes on one virtual network, each with six to eight neighbours. */
export class SimMesh {
  readonly scheduler = new Scheduler(START)
  readonly random: Random
  readonly network: SimNetwork
  readonly nodes: SimNode[] = []
  /** What nodes learnt, while `watched` hashes are. */
  readonly learnt: Learnt[] = []
  readonly watched = new Set<string>()

  constructor(options: MeshOptions) {
    this.random = new Random(options.seed)
    this.network = new SimNetwork(this.scheduler, this.random, { ...USUAL, ...options.links })
    for (let index = 0; index < options.nodes; index++) {
      const node: SimNode = new SimNode(index, {
        network: this.network,
        random: this.random,
        share: options.share?.(index) ?? 'all',
        packages: new Map(options.packages?.(index) ?? []),
        learnt: (_, hashes, at) => {
          for (const hash of this.watched.size > 0 ? hashes : []) {
            const text = nix32Encode(hash)
            if (this.watched.has(text)) this.learnt.push({ node, hash: text, at })
          }
        },
      })
      this.nodes.push(node)
    }
    this.#connect()
  }

  async start(): Promise<void> {
    for (const node of this.nodes) await node.start()
  }

  /** Connects all pairs of neighbours anew, as after a partition. */
  reconnect(): void {
    for (const node of this.nodes) {
      for (const neighbour of node.neighbours) if (node.key < neighbour.key) node.connect(neighbour)
    }
  }

  /** Parts the first `count` nodes from the others, which notice that their connections end. */
  partition(count: number): void {
    const first = new Set(this.nodes.slice(0, count).map(({ key }) => key))
    this.network.partition((key) => Number(first.has(key)))
    for (const node of this.nodes) {
      for (const neighbour of node.neighbours) {
        if (first.has(node.key) !== first.has(neighbour.key)) node.disconnected(neighbour)
      }
    }
  }

  heal(): void {
    this.network.heal()
    this.reconnect()
  }

  /** Whether every running node knows exactly what every other running node shares. */
  converged(nodes: readonly SimNode[] = this.nodes.filter(({ running }) => running)): boolean {
    return nodes.every((node) =>
      nodes.every((other) => {
        if (other === node) return true
        const { log } = other.inventory
        const head = node.exchange.heads.head(other.key)
        return (
          head?.epoch === log.epoch &&
          head.seq === log.seq &&
          node.exchange.followsCurrent(other.key) === true &&
          node.exchange.directory.count(other.key) === log.count
        )
      }),
    )
  }

  /** Whether a node would name another one for a package. */
  knows(node: SimNode, other: SimNode, hash: string): boolean {
    return node.exchange.directory.providers(nix32Decode(hash), this.scheduler.now).includes(other.key)
  }

  /** A ring, so that all are connected, and random links up to six for each node, eight at most. */
  #connect(): void {
    const { nodes } = this
    const link = (a: SimNode, b: SimNode): void => {
      if (a === b) return
      a.neighbours.add(b)
      b.neighbours.add(a)
    }
    nodes.forEach((node, index) => {
      link(node, nodes[(index + 1) % nodes.length]!)
    })
    for (const node of nodes) {
      for (let tries = 0; node.neighbours.size < 6 && tries < 100; tries++) {
        const other = this.random.pick(nodes)
        if (other.neighbours.size < 8) link(node, other)
      }
    }
  }
}

/** A package by number: the same hash part and name everywhere. */
export function simPackage(number: number, name = `package-${number}`): { hash: string; name: string } {
  return { hash: nix32Encode(hash('sha1', `package ${number}`, 'buffer')), name }
}

/** `count` packages from number `from` on, as a node's store has them. */
export function* simPackages(from: number, count: number): Generator<readonly [string, string]> {
  for (let number = from; number < from + count; number++) {
    const { hash, name } = simPackage(number)
    yield [hash, name]
  }
}
