import { setTimeout as delay } from 'node:timers/promises'
import type { PathInfo } from '../../nix/path-info.ts'
import type { PackageStore } from '../../store/api.ts'
import { errorMessage } from '../../util/errors.ts'
import type { Startable } from '../../util/lifecycle.ts'
import type { Logger } from '../../util/log.ts'
import { FOLLOW_CHUNK, FOLLOW_DELAY, FOLLOW_LONGEST_RETRY, FOLLOW_LOOK, FOLLOW_RETRY } from '../limits.ts'
import type { Puller } from '../pull/puller.ts'
import { TolerantPull } from '../pull/tolerant-pull.ts'
import type { SourceLink } from '../source/link.ts'
import { Postponed } from './postponed.ts'

/** Nobody could give the package, and somebody may be able to later. */
const NOT_NOW: ReadonlySet<string> = new Set(['ERR_PACKAGE_UNAVAILABLE', 'ERR_NARINFO_NOT_SENT'])

export interface FollowerComponents {
  readonly store: PackageStore
  readonly puller: Puller
  /** The peers that are connected now. */
  readonly links: () => readonly SourceLink[]
  /** Which packages are wanted, by what is known of them; all when absent. */
  readonly wanted?: (info: PathInfo) => boolean
  readonly logger: Logger
}

/** Pulls what peers announce, as the node's policy wants: everything, or packages by their names. */
export class Follower implements Startable {
  readonly #components: FollowerComponents
  readonly #stopped = new AbortController()
  /** Hash parts of packages that were announced and are not here. */
  readonly #open = new Set<string>()
  readonly #postponed = new Postponed()
  #looking: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #retry = FOLLOW_RETRY

  constructor(components: FollowerComponents) {
    this.#components = components
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#stopped.abort()
    clearInterval(this.#looking)
    await this.#running
  }

  /** Peers turned out to have packages (hash parts). */
  news(hashes: Iterable<string>): void {
    const { store } = this.#components
    for (const hash of hashes) if (!store.hasClosure(hash)) this.#open.add(hash)
    this.#go()
  }

  #go(): void {
    if (this.#open.size === 0 || this.#stopped.signal.aborted) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (this.#open.size > 0 && !signal.aborted) {
      // What belongs together is announced together, or soon after.
      await pause(FOLLOW_DELAY, signal)
      const chunk = [...this.#open].slice(0, FOLLOW_CHUNK)
      try {
        await this.#pull(chunk)
        for (const hash of chunk) this.#open.delete(hash)
        this.#look()
        this.#retry = FOLLOW_RETRY
      } catch (err) {
        if (signal.aborted) return
        this.#components.logger.warn({ err }, `cannot follow the peers: ${errorMessage(err)}`)
        await pause(this.#retry, signal)
        this.#retry = Math.min(this.#retry * 2, FOLLOW_LONGEST_RETRY)
      }
    }
  }

  async #pull(hashes: readonly string[]): Promise<void> {
    const { store, puller, links, logger } = this.#components
    const { signal } = this.#stopped
    const missing = hashes.filter((hash) => !store.hasClosure(hash))
    const unavailable = new Map<string, string>()
    const pulling = new TolerantPull(puller, {
      signal,
      from: links(),
      onEvent: (event) => {
        if (event.type !== 'skipped') return
        if (NOT_NOW.has(event.code)) unavailable.set(event.path, event.message)
        else logger.warn({ code: event.code }, `left out: ${event.message}`)
      },
    })
    const { chosen, unasked } = await this.#choose(missing)
    await pulling.pull(chosen)
    for (const hash of unasked) unavailable.set(hash, `no peer is there that has ${hash}`)
    this.#putOff(hashes, unavailable)
    const { added, bytes, received, sources } = pulling.total
    if (added > 0) logger.info({ added, bytes, received, sources }, `pulled ${added} packages from peers`)
  }

  /** Of what was tried, what nobody could give is kept for later. */
  #putOff(tried: readonly string[], unavailable: ReadonlyMap<string, string>): void {
    const { logger } = this.#components
    for (const hash of tried) {
      const reason = unavailable.get(hash)
      if (reason === undefined) this.#postponed.delete(hash)
      else if (this.#postponed.add(hash, Date.now())) logger.info({ hash }, `put off: ${reason}`)
    }
  }

  /** Looks from time to time whether what was put off can be had now, as long as there is any. */
  #look(): void {
    if (this.#stopped.signal.aborted || this.#postponed.size === 0) {
      clearInterval(this.#looking)
      this.#looking = undefined
      return
    }
    this.#looking ??= setInterval(() => {
      const { links } = this.#components
      const names = links().map(({ source }) => source.name)
      for (const hash of this.#postponed.take(names, Date.now())) this.#open.add(hash)
      this.#go()
    }, FOLLOW_LOOK).unref()
  }

  /** Those that are wanted, and those that nobody could be asked about. Names are known from narinfos only, so these are asked for first. */
  async #choose(hashes: readonly string[]): Promise<{ chosen: string[]; unasked: Iterable<string> }> {
    const { wanted, links } = this.#components
    if (wanted === undefined) return { chosen: [...hashes], unasked: [] }
    const chosen = new Set<string>()
    const unknown = new Set(hashes)
    const unasked = new Set(hashes)
    for (const link of links()) {
      const asked = [...unknown].filter((hash) => link.mayHave(hash))
      if (asked.length === 0) continue
      const { found } = await link.health.observe(() => link.find(asked, { signal: this.#stopped.signal }))
      for (const hash of asked) unasked.delete(hash)
      for (const [hash, { info }] of found) {
        unknown.delete(hash)
        if (wanted(info)) chosen.add(hash)
      }
    }
    return { chosen: [...chosen], unasked }
  }
}

/** Ends early, without an error, when the signal fires. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal, ref: false }).catch(() => {})
}
