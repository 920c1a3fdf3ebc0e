import { createHash } from 'node:crypto'
import { REQUEST_TIMEOUT } from '../../../protocol/index.ts'
import type { Random } from '../../fuzz/random.ts'
import type { Scheduler } from './scheduler.ts'

/** How messages travel. Times are milliseconds, shares from 0 to 1. */
export interface LinkOptions {
  /** One way. */
  readonly latency: number
  /** So much more at random: messages overtake one another. */
  readonly jitter: number
  readonly loss: number
  readonly duplication: number
}

export interface Traffic {
  messages: number
  bytes: number
}

export type Kind = 'gossip' | 'hello' | 'heads' | 'inventory'

/** Every kind of message that costs bytes. */
const KINDS: readonly Kind[] = ['gossip', 'hello', 'heads', 'inventory']

/** Nodes as the network sees them. */
export interface Endpoint {
  readonly running: boolean
  receiveGossip(data: Uint8Array, from: string): void
  answer(protocol: 'heads' | 'inventory', data: Uint8Array, from: string): Uint8Array | undefined
}

/** A virtual network: delays, loses, repeats and reorders messages, and can be cut in two. Counts every byte, and can keep them. */
export class SimNetwork {
  readonly scheduler: Scheduler
  readonly traffic: Record<Kind, Traffic>
  options: LinkOptions
  /** Is given every message that is sent, if set. */
  watch: ((data: Uint8Array, kind: Kind, from: string) => void) | undefined
  readonly #random: Random
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #groups = new Map<string, number>()
  readonly #trace = createHash('sha256')

  constructor(scheduler: Scheduler, random: Random, options: LinkOptions) {
    this.scheduler = scheduler
    this.#random = random
    this.options = options
    this.traffic = Object.fromEntries(KINDS.map((kind) => [kind, { messages: 0, bytes: 0 }])) as never
  }

  add(name: string, endpoint: Endpoint): void {
    this.#endpoints.set(name, endpoint)
  }

  /** Nodes of different groups do not reach each other. */
  partition(groupOf: (name: string) => number): void {
    for (const name of this.#endpoints.keys()) this.#groups.set(name, groupOf(name))
  }

  heal(): void {
    this.#groups.clear()
  }

  reaches(from: string, to: string): boolean {
    const there = this.#endpoints.get(from)?.running === true && this.#endpoints.get(to)?.running === true
    return there && this.#groups.get(from) === this.#groups.get(to)
  }

  /** All bytes so far. */
  get bytes(): number {
    return KINDS.reduce((sum, kind) => sum + this.traffic[kind].bytes, 0)
  }

  resetTraffic(): void {
    for (const kind of KINDS) this.traffic[kind] = { messages: 0, bytes: 0 }
  }

  /** SHA-256 of everything that was sent, when and to whom. Ends the trace. */
  traceHash(): string {
    return this.#trace.digest('hex')
  }

  /** A message that nobody answers. */
  send(from: string, to: string, kind: Kind, data: Uint8Array, deliver: (to: Endpoint) => void): void {
    this.#count(from, to, kind, data)
    for (let copies = this.#chance(this.options.duplication) ? 2 : 1; copies > 0; copies--) {
      if (this.#chance(this.options.loss)) continue
      this.scheduler.after(this.#delay(), () => {
        if (this.reaches(from, to)) deliver(this.#endpoints.get(to)!)
      })
    }
  }

  /** A question on a stream: it or its answer may get lost, and then there is none until the time is over. */
  request(
    from: string,
    to: string,
    kind: 'heads' | 'inventory',
    data: Uint8Array,
    done: (answer: Uint8Array | undefined) => void,
  ): void {
    let finished = false
    const finish = (answer: Uint8Array | undefined): void => {
      if (finished) return
      finished = true
      if (this.#endpoints.get(from)?.running) done(answer)
    }
    this.scheduler.after(REQUEST_TIMEOUT, () => finish(undefined))
    this.send(from, to, kind, data, (endpoint) => {
      const answer = endpoint.answer(kind, data, from)
      if (answer !== undefined) this.send(to, from, kind, answer, () => finish(answer))
    })
  }

  #count(from: string, to: string, kind: Kind, data: Uint8Array): void {
    this.traffic[kind].messages++
    this.traffic[kind].bytes += data.length
    this.watch?.(data, kind, from)
    this.#trace.update(`${this.scheduler.now} ${from} ${to} ${kind}\n`).update(data)
  }

  #delay(): number {
    return this.options.latency + (this.options.jitter * this.#random.below(1000)) / 1000
  }

  #chance(share: number): boolean {
    return share > 0 && this.#random.below(1_000_000) < share * 1_000_000
  }
}
