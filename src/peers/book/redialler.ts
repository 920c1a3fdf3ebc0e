/**
 * Keeps a node connected to the peers in its book. Peers that an operator named are dialled for ever; of those that were only
 * heard of, enough for a well connected mesh, and not for long when nobody answers.
 *
 * libp2p's own reconnecting gives up after five failures and forgets peers after hours, so it has no part in this.
 */
import { networkInterfaces } from 'node:os'
import { errorMessage } from '../../util/errors.ts'
import type { Startable } from '../../util/lifecycle.ts'
import type { Logger } from '../../util/log.ts'
import { type BackoffInit, backoff } from './backoff.ts'
import type { PeerBook } from './book.ts'
import { isBanned } from './penalty.ts'
import type { PeerRecord } from './record.ts'

/** Dials that run at once. */
export const MAX_DIALS = 8
/** With so many connections, peers that were only heard of are left alone. */
export const ENOUGH_CONNECTIONS = 32
/** Dials to a peer that was only heard of; then it is forgotten, until somebody tells of it again. */
export const LEARNT_ATTEMPTS = 6
/** Milliseconds for which it is dialled all the same when it was here once. */
export const LEARNT_TIME = 60 * 60 * 1000
/** Milliseconds between two looks at whom to dial. */
const TICK = 500
/** Milliseconds between two looks at the network interfaces. */
const NETWORK_CHECK = 5000
/** Milliseconds between two times that the book is saved for what was only learnt. */
const SAVE_INTERVAL = 5 * 60 * 1000

export interface RediallerComponents {
  readonly book: PeerBook
  readonly logger: Logger
  /** Connects to a peer and resolves once it is one; throws when it cannot be. */
  readonly connect: (record: PeerRecord, signal: AbortSignal) => Promise<void>
  /** Whether a peer that was only heard of may be dialled. */
  readonly allowed: (id: string) => boolean
}

export class Redialler implements Startable {
  readonly #components: RediallerComponents
  readonly #backoff: BackoffInit
  readonly #dials = new Map<PeerRecord, Promise<void>>()
  #abort = new AbortController()
  #timers: NodeJS.Timeout[] = []
  #network = ''

  constructor(components: RediallerComponents, init: BackoffInit = {}) {
    this.#components = components
    this.#backoff = init
  }

  async start(): Promise<void> {
    if (this.#timers.length > 0) return
    this.#abort = new AbortController()
    this.#network = networkFingerprint()
    const every = (interval: number, act: () => void): NodeJS.Timeout => setInterval(act, interval).unref()
    this.#timers = [
      every(TICK, () => this.look()),
      every(NETWORK_CHECK, () => this.#checkNetwork()),
      every(SAVE_INTERVAL, () => this.#save()),
    ]
    this.look()
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer)
    this.#abort.abort()
    await Promise.all(this.#dials.values())
  }

  /** Dials whoever is due. */
  look(): void {
    const now = Date.now()
    const due: PeerRecord[] = []
    let connections = this.#dials.size
    for (const record of this.#components.book.records) {
      if (record.state === 'connected') connections++
      else if (this.#isDue(record, now)) due.push(record)
    }
    // Those that an operator named come first, then those that have waited longest.
    due.sort((a, b) => Number(a.origin === 'learnt') - Number(b.origin === 'learnt') || a.retryAt - b.retryAt)
    for (const record of due) {
      if (this.#dials.size >= MAX_DIALS) return
      if (record.origin === 'learnt' && connections >= ENOUGH_CONNECTIONS) return
      connections++
      this.#dial(record)
    }
  }

  /** Dials everybody soon, as when the network has changed. */
  reset(): void {
    for (const record of this.#components.book.records) {
      record.failures = 0
      record.retryAt = 0
    }
    this.look()
  }

  /** Dials a peer now and resolves once that has succeeded or failed; `record.state` tells which. */
  async dialNow(record: PeerRecord): Promise<void> {
    if (this.#abort.signal.aborted || record.state === 'connected') return
    await (this.#dials.get(record) ?? this.#dial(record))
  }

  #isDue(record: PeerRecord, now: number): boolean {
    if (record.retryAt > now || record.addresses.length === 0 || this.#dials.has(record)) return false
    if (isBanned(record, now)) {
      record.state = 'banned'
      return false
    }
    return record.origin !== 'learnt' || record.id === undefined || this.#components.allowed(record.id)
  }

  #dial(record: PeerRecord): Promise<void> {
    record.state = 'connecting'
    const dial = this.#attempt(record).finally(() => this.#dials.delete(record))
    this.#dials.set(record, dial)
    return dial
  }

  async #attempt(record: PeerRecord): Promise<void> {
    const { connect, logger, book } = this.#components
    try {
      await connect(record, this.#abort.signal)
    } catch (error) {
      if (this.#abort.signal.aborted || (record.state as string) === 'connected') return
      record.state = 'waiting'
      record.failures++
      record.failure = errorMessage(error)
      const now = Date.now()
      const gone =
        record.lastSeen === undefined ? Number.POSITIVE_INFINITY : Math.max(0, now - record.lastSeen)
      const delay = backoff(record.failures, this.#backoff, gone)
      record.retryAt = now + delay
      const peer = record.name ?? record.id ?? record.addresses[0]
      const known = record.origin !== 'learnt'
      if (known && record.failures === 1) {
        logger.info({ peer, reason: record.failure }, 'cannot reach a peer; trying again')
      } else {
        logger.debug({ peer, reason: record.failure, delay }, 'cannot reach a peer')
      }
      if (!known && record.failures >= LEARNT_ATTEMPTS && gone > LEARNT_TIME) book.forget(record)
    }
  }

  #checkNetwork(): void {
    const network = networkFingerprint()
    if (network === this.#network) return
    this.#network = network
    this.#components.logger.debug('the network has changed; dialling the peers anew')
    this.reset()
  }

  #save(): void {
    const { book, logger } = this.#components
    book.save().catch((err: unknown) => logger.warn({ err }, 'the known peers could not be saved'))
  }
}

function networkFingerprint(): string {
  return Object.entries(networkInterfaces())
    .flatMap(([name, addresses = []]) => addresses.map(({ address }) => `${name} ${address}`))
    .sort()
    .join('\n')
}
