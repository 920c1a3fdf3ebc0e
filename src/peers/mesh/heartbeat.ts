/**
 * Notices connections that are dead without anybody having closed them: a cable that was pulled, a machine that lost power.
 * TCP itself takes a quarter of an hour, and libp2p's own pings have to be patient with what queues behind bulk data.
 */
import type { AbortOptions, Startable } from '../../util/lifecycle.ts'
import type { Logger } from '../../util/log.ts'

/** Milliseconds between two looks at the connections. */
const TICK = 2500
/** Milliseconds of silence after which a peer is pinged. */
const QUIET = 4000
/** Milliseconds without any sign of a peer after which its connection is given up: 2 pings lost, or a line that is down. */
export const SILENCE = 10_000

export interface HeartbeatComponents {
  readonly swarm: {
    readonly members: ReadonlySet<string>
    ping(id: string, options: AbortOptions): Promise<number>
    abandon(id: string): void
  }
  readonly logger: Logger
  /** Milliseconds of a clock that does not jump; for tests. */
  readonly now?: () => number
}

export class Heartbeat implements Startable {
  readonly #components: HeartbeatComponents
  readonly #now: () => number
  /** When a peer last gave a sign. */
  readonly #heard = new Map<string, number>()
  readonly #pings = new Set<string>()
  #looked: number
  #timer: NodeJS.Timeout | undefined

  constructor(components: HeartbeatComponents) {
    this.#components = components
    this.#now = components.now ?? (() => performance.now())
    this.#looked = this.#now()
  }

  async start(): Promise<void> {
    this.#looked = this.#now()
    this.#timer ??= setInterval(() => this.look(), TICK).unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Something came from a peer: it is alive, however long its answers to pings wait behind other things. */
  heard(peer: string): void {
    if (this.#heard.has(peer)) this.#heard.set(peer, this.#now())
  }

  /** Pings who was quiet, and gives up connections to those who were for too long; done by a timer. */
  look(): void {
    const { swarm, logger } = this.#components
    const now = this.#now()
    // This process stood still: nobody else is to blame for the silence.
    const stood = now - this.#looked > 2 * TICK
    this.#looked = now
    for (const peer of this.#heard.keys()) if (!swarm.members.has(peer)) this.#heard.delete(peer)
    for (const peer of swarm.members) {
      const heard = stood ? now : (this.#heard.get(peer) ?? now)
      this.#heard.set(peer, heard)
      const silence = now - heard
      if (silence >= SILENCE) {
        logger.info({ peer, silence: Math.round(silence) }, 'a peer is silent; giving up the connection')
        swarm.abandon(peer)
      } else if (silence >= QUIET) this.#ping(peer)
    }
  }

  #ping(peer: string): void {
    if (this.#pings.has(peer)) return
    this.#pings.add(peer)
    this.#components.swarm
      .ping(peer, { signal: AbortSignal.timeout(SILENCE) })
      .then(() => this.heard(peer))
      .catch(() => {})
      .finally(() => this.#pings.delete(peer))
  }
}
