import type { PeerKey } from '../inventory/directory.ts'

/** Questions under way at a time, to different peers: a mesh that comes back must not be asked all at once. */
export const MAX_PULLS = 4
/** Of them to peers that would have to be dialled: ids that somebody made up must not keep others from being asked. */
export const MAX_DIALLED_PULLS = 2
/** A question waits up to so much at random, so that not all followers of a peer ask it in the same moment. */
export const PULL_JITTER = 400
/** After a failure, doubled with each further one up to the longest. */
const FIRST_BACKOFF = 1000
const LONGEST_BACKOFF = 10 * 60 * 1000

interface Entry {
  /** Not to be asked before. */
  at: number
  wanted: boolean
  /** Whether it is asked now, and was connected when that began. */
  active: 'connected' | 'dialled' | undefined
  failures: number
}

/** Whom to ask next: a bounded number at a time, at random moments, later after failures. Times are milliseconds. */
export class PullQueue {
  readonly #random: () => number
  readonly #entries = new Map<PeerKey, Entry>()
  readonly #connected = new Set<PeerKey>()
  #active = 0
  #dialled = 0
  /** `due`, as long as nothing changes. */
  #due: number | undefined

  /** @param random in [0, 1) */
  constructor(random: () => number) {
    this.#random = random
  }

  /** When somebody may be asked; infinity when nobody is to be. */
  get due(): number {
    if (this.#active >= MAX_PULLS) return Number.POSITIVE_INFINITY
    this.#due ??= this.#earliest()
    return this.#due
  }

  /** There is something to ask a peer. A peer that failed keeps its time. */
  want(peer: PeerKey, now: number): void {
    this.#due = undefined
    const entry = this.#entries.get(peer)
    if (entry === undefined) {
      const at = now + this.#random() * PULL_JITTER
      this.#entries.set(peer, { at, wanted: true, active: undefined, failures: 0 })
    } else if (!entry.wanted) {
      entry.wanted = true
      entry.at = Math.max(entry.at, now + this.#random() * PULL_JITTER)
    }
  }

  /** Whoever may be asked now, and is taken to be asked. */
  take(now: number): PeerKey | undefined {
    if (this.#active >= MAX_PULLS) return undefined
    let first: PeerKey | undefined
    let at = now
    for (const [peer, entry] of this.#entries) {
      // a time that is too far off is of a clock that was put back since
      if (entry.at > now + 2 * LONGEST_BACKOFF) entry.at = now
      if (!this.#mayBeAsked(peer, entry) || entry.at > at) continue
      first = peer
      at = entry.at
    }
    if (first === undefined) return undefined
    this.#due = undefined
    const entry = this.#entries.get(first)!
    entry.active = this.#connected.has(first) ? 'connected' : 'dialled'
    entry.wanted = false
    this.#active++
    if (entry.active === 'dialled') this.#dialled++
    return first
  }

  /** The question to a peer came to its end. */
  done(peer: PeerKey): void {
    const entry = this.#finish(peer)
    if (entry === undefined) return
    entry.failures = 0
    if (!entry.wanted) this.#entries.delete(peer)
  }

  /** It failed: it will be asked again, after a while. */
  failed(peer: PeerKey, now: number): void {
    const entry = this.#finish(peer)
    if (entry === undefined) return
    const backoff = Math.min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** Math.min(entry.failures, 20))
    entry.failures++
    entry.wanted = true
    entry.at = now + backoff * (0.5 + this.#random())
  }

  /** A connection began: earlier failures count no more. */
  connected(peer: PeerKey, now: number): void {
    this.#due = undefined
    this.#connected.add(peer)
    const entry = this.#entries.get(peer)
    if (entry === undefined || entry.active !== undefined) return
    entry.failures = 0
    entry.at = Math.min(entry.at, now + this.#random() * PULL_JITTER)
  }

  disconnected(peer: PeerKey): void {
    this.#due = undefined
    this.#connected.delete(peer)
  }

  forget(peer: PeerKey): void {
    this.#due = undefined
    this.#finish(peer)
    this.#entries.delete(peer)
  }

  #earliest(): number {
    let due = Number.POSITIVE_INFINITY
    for (const [peer, entry] of this.#entries) {
      if (this.#mayBeAsked(peer, entry)) due = Math.min(due, entry.at)
    }
    return due
  }

  #mayBeAsked(peer: PeerKey, entry: Entry): boolean {
    if (!entry.wanted || entry.active !== undefined) return false
    return this.#dialled < MAX_DIALLED_PULLS || this.#connected.has(peer)
  }

  #finish(peer: PeerKey): Entry | undefined {
    this.#due = undefined
    const entry = this.#entries.get(peer)
    if (entry === undefined || entry.active === undefined) return undefined
    if (entry.active === 'dialled') this.#dialled--
    entry.active = undefined
    this.#active--
    return entry
  }
}
