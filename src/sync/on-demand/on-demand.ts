import { throwIfAborted } from '../../ingest/abort.ts'
import type { ExpectedPackage, OnDemand, PackageStore } from '../../store/api.ts'
import { AbortedError, errorMessage, GachixError } from '../../util/errors.ts'
import type { AbortOptions, Startable } from '../../util/lifecycle.ts'
import type { Logger } from '../../util/log.ts'
import { ARRIVAL_STALL, MISS_BUDGET, PULLS_AT_ONCE, SOURCE_PATIENCE } from '../limits.ts'
import type { Puller } from '../pull/puller.ts'
import type { Findings, Found, SourceLink } from '../source/link.ts'
import { SOURCE_KINDS } from '../source/source.ts'
import { Arrival, Arrivals } from './arrivals.ts'
import { NegativeCache } from './negative-cache.ts'
import { Questions } from './questions.ts'

export interface PullThroughComponents {
  readonly store: PackageStore
  readonly puller: Puller
  /** Sources that are asked on a miss, as they are now. */
  readonly links: () => readonly SourceLink[]
  readonly logger: Logger
  /** Milliseconds in which a miss is answered, whatever the sources do; default `MISS_BUDGET`. */
  readonly budget?: number
}

interface Answer {
  readonly expected: ExpectedPackage | undefined
  /** Whether every source has answered. */
  readonly sure: boolean
  /** Sources that have failed, or not answered in time. */
  readonly failed: ReadonlySet<SourceLink>
}

/**
 * Serves misses out of the node's sources. A narinfo that passes the source's rule is answered at once, and its closure is
 * pulled; the NAR is served when it has been proven and published. No failure of a source is a client's: all of them
 * together are a quick "not here".
 */
export class PullThrough implements OnDemand, Startable {
  readonly #components: PullThroughComponents
  readonly #missing = new NegativeCache()
  readonly #arrivals = new Arrivals()
  readonly #asking = new Map<string, Promise<ExpectedPackage | undefined>>()
  readonly #questions = new WeakMap<SourceLink, Questions>()
  readonly #stopped = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #queue: Array<() => void> = []
  readonly #pulls = new Set<Arrival>()
  #pulling = 0

  constructor(components: PullThroughComponents) {
    this.#components = components
  }

  async start(): Promise<void> {}

  /** Gives up what is being pulled. */
  async stop(): Promise<void> {
    this.#stopped.abort(new AbortedError('the node was stopped'))
    for (const go of this.#queue.splice(0)) go()
    await Promise.allSettled(this.#running)
  }

  /** News of packages that were missing: a peer has them now. Without `hashes`: of any. */
  forgetMissing(hashes?: Iterable<string>): void {
    if (hashes === undefined) this.#missing.clear()
    else for (const hash of hashes) this.#missing.delete(hash)
  }

  async find(hash: string, options: AbortOptions = {}): Promise<ExpectedPackage | undefined> {
    const expected = this.#arrivals.get(hash)
    if (expected !== undefined) return expected
    if (this.#missing.has(hash) || this.#stopped.signal.aborted) return undefined
    let asking = this.#asking.get(hash)
    if (asking === undefined) {
      asking = this.#find(hash).finally(() => this.#asking.delete(hash))
      this.#asking.set(hash, asking)
    }
    const found = await asking
    throwIfAborted(options.signal)
    return found
  }

  async arrival(hash: string, options: AbortOptions = {}): Promise<boolean> {
    const { store } = this.#components
    for (;;) {
      if (store.has(hash)) return true
      const arrival = this.#arrivals.get(hash)?.arrival
      if (arrival === undefined) return false
      if (arrival.hasStalled) return false
      await pause(arrival.timeLeft, arrival.ended, options.signal)
      throwIfAborted(options.signal)
    }
  }

  async #find(hash: string): Promise<ExpectedPackage | undefined> {
    const { expected, sure, failed } = await this.#ask(hash)
    if (expected === undefined) this.#missing.add(hash, sure)
    else this.#pull(expected, failed)
    return expected
  }

  /**
   * Asks all sources at once, and takes the answer of the first in order that has the package: a later one's only when
   * those before it have said no, failed, or not answered in time.
   */
  async #ask(hash: string): Promise<Answer> {
    const awake = ordered(this.#components.links()).filter(({ health }) => !health.resting)
    const links = awake.filter((link) => link.mayHave(hash))
    const signal = this.#budget()
    const failed = new Set<SourceLink>()
    const all = awake.length === this.#components.links().length
    const answers = links.map(async (link) => {
      try {
        const { found } = await within(signal, this.#question(link, hash), link.source.name)
        const first = found.get(hash)
        return first && expectedOf(first)
      } catch (err) {
        failed.add(link)
        const { name } = link.source
        this.#components.logger.debug({ source: name, err }, `a source did not answer: ${errorMessage(err)}`)
        return undefined
      }
    })
    for (const answer of answers) {
      const expected = await answer
      if (expected !== undefined) return { expected, sure: false, failed }
    }
    return { expected: undefined, sure: all && failed.size === 0, failed }
  }

  /** Asks one source about one package, together with what else it is asked about. */
  #question(link: SourceLink, hash: string): Promise<Findings> {
    const ask = async (hashes: readonly string[]): Promise<Findings> => {
      const signal = this.#budget()
      const asking = () => within(signal, link.find(hashes, { signal }), link.source.name)
      const findings = await link.health.guard(asking)
      for (const { code, message } of findings.refused) this.#components.logger.warn({ code }, message)
      return findings
    }
    if (link.source.gives !== 'objects') return ask([hash])
    let questions = this.#questions.get(link)
    if (questions === undefined) {
      questions = new Questions(ask)
      this.#questions.set(link, questions)
    }
    return questions.ask(hash)
  }

  /** Fires when a miss has to be answered. */
  #budget(): AbortSignal {
    return AbortSignal.any([
      AbortSignal.timeout(this.#components.budget ?? MISS_BUDGET),
      this.#stopped.signal,
    ])
  }

  /**
   * Has the package's closure pulled, after those that were asked for before. Sources that have just let a client wait are
   * not asked again for it.
   */
  #pull(expected: ExpectedPackage, failed: ReadonlySet<SourceLink>): void {
    if (this.#arrivals.get(expected.info.storePath.hash) !== undefined) return
    const arrival = new Arrival()
    this.#arrivals.expect(expected, arrival)
    const running = this.#run(expected, arrival, failed).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async #run({ info }: ExpectedPackage, arrival: Arrival, failed: ReadonlySet<SourceLink>): Promise<void> {
    const { puller, logger, links } = this.#components
    const { hash } = info.storePath
    try {
      await this.#turn(arrival)
      this.#pulls.add(arrival)
      await puller.pull([hash], {
        from: ordered(links()).filter((link) => !link.health.resting && !failed.has(link)),
        patience: SOURCE_PATIENCE,
        signal: this.#stopped.signal,
        onLeft: () => arrival.moved(),
        onFound: ({ found }) => {
          arrival.moved()
          this.#arrivals.expect(expectedOf(found), arrival)
        },
        onBytes: (bytes) => arrival.came(bytes),
        onPublishing: () => arrival.publishing(),
        onWaiting: (others) => this.#follow(arrival, others),
        onEvent: ({ type }) => {
          if (type === 'package') arrival.moved()
        },
      })
    } catch (error) {
      this.#missing.add(hash, false)
      if (!this.#stopped.signal.aborted) {
        logger.warn({ path: info.storePath.toString(), err: error }, `cannot pull: ${errorMessage(error)}`)
      }
    } finally {
      this.#pulling--
      this.#pulls.delete(arrival)
      this.#queue.shift()?.()
      this.#arrivals.forget(arrival)
      arrival.end()
    }
  }

  /** Waits until fewer pulls run than may. Meanwhile this one gets on as far as those that it waits for do. */
  async #turn(arrival: Arrival): Promise<void> {
    this.#pulling++
    if (this.#pulling <= PULLS_AT_ONCE) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#queue.push(resolve)
    this.#follow(arrival, promise)
    await promise
    arrival.moved()
  }

  /** Until something has ended that a pull waits for, those who wait for the pull see whether the others get on. */
  #follow(arrival: Arrival, ended: Promise<unknown>): void {
    const look = () => {
      for (const other of this.#pulls) arrival.follow(other)
    }
    const timer = setInterval(look, ARRIVAL_STALL / 8)
    const stop = () => clearInterval(timer)
    ended.then(stop, stop)
  }
}

function ordered(links: readonly SourceLink[]): SourceLink[] {
  return SOURCE_KINDS.flatMap((kind) => links.filter(({ source }) => source.kind === kind))
}

function expectedOf({ info, proof }: Found): ExpectedPackage {
  return { info, vouched: proof.by === 'signature' }
}

/** A source has not answered in the time that a miss may take. */
class SourceTimeoutError extends GachixError {
  constructor(source: string) {
    super('ERR_SOURCE_TIMEOUT', `${source} did not answer a miss in time`)
  }
}

/** The work's result, or a failure as soon as the signal fires, whether the work heeds it or not. */
function within<T>(signal: AbortSignal, work: Promise<T>, source: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const fire = () => reject(new SourceTimeoutError(source))
  if (signal.aborted) fire()
  signal.addEventListener('abort', fire, { once: true })
  promise.catch(() => {})
  // The work's own end at the signal is not told from the outside; the time-out is.
  const heeded = work.catch((error: unknown) => {
    throw signal.aborted ? new SourceTimeoutError(source) : error
  })
  return Promise.race([heeded, promise]).finally(() => signal.removeEventListener('abort', fire))
}

/** Resolves after a time, when something has ended, or when the signal fires. */
async function pause(
  milliseconds: number,
  ended: Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal?.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const wake = () => resolve()
  const timer = setTimeout(wake, milliseconds)
  signal?.addEventListener('abort', wake, { once: true })
  await Promise.race([promise, ended])
  signal?.removeEventListener('abort', wake)
  clearTimeout(timer)
}
