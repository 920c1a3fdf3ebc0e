import { throwIfAborted, unlessAborted } from '../../ingest/abort.ts'
import type { PackageStore } from '../../store/api.ts'
import type { SyncEvent } from '../../store/sync-event.ts'
import { errorMessage } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Logger } from '../../util/log.ts'
import { Claims } from '../claims.ts'
import { type SourceLink, verdictOf } from '../source/link.ts'
import { Comebacks, pause } from './comebacks.ts'
import { CannotStoreError, NoSourcesError, PackageUnavailableError, SourceFailedError } from './errors.ts'
import { makePlan, type Plan, type Planned } from './plan.ts'
import { PullProgress } from './progress.ts'
import { intoRuns } from './runs.ts'

export interface PullOptions extends AbortOptions {
  /** Sources to pull from, in order; all that the node has by default. */
  readonly from?: readonly SourceLink[]
  /** Ask all of them for everything, also for what they are not known to have. */
  readonly thorough?: boolean
  readonly onEvent?: (event: SyncEvent) => void
  /** Told of missing packages as they are found, before anything of them is here. */
  readonly onFound?: (planned: Planned) => void
  /** Told of bytes as they come over the wire. */
  readonly onBytes?: (bytes: number) => void
  /** Told when everything of a source's share has come and is being proven and published. */
  readonly onPublishing?: () => void
  /** Milliseconds of waiting for next to nothing after which a source is left, when others have the same. */
  readonly patience?: number
  /**
   * Milliseconds that may be waited, until the next package has come, for sources to come back that were lost on the way, when
   * nobody else has what is missing. Without it nobody is waited for.
   */
  readonly comeback?: number
  /** Told when a source has failed or been left, and others are tried. */
  readonly onLeft?: () => void
  /** Told when the pull waits for others that fetch the same packages; ends when it goes on. */
  readonly onWaiting?: (others: Promise<unknown>) => void
}

/** What came of a pull. */
export interface PullResult {
  /** Packages fetched, and their NAR bytes. */
  readonly added: number
  readonly bytes: number
  /** Packages of the closures that were here, as far as the walk came upon them. */
  readonly present: number
  /** Bytes that came over the wire. */
  readonly received: number
  /** Packages by the source that they came from. */
  readonly sources: Readonly<Record<string, number>>
}

export interface PullerComponents {
  readonly store: PackageStore
  /** The node's sources as they are now, in the order in which they are asked. */
  readonly links: () => readonly SourceLink[]
  readonly logger: Logger
}

/**
 * Pulls closures from other places. A source that fails, or gives something else than it announced, is left out for the
 * rest of the pull, and what is missing then is looked for anew at the others; where nobody else has it, one that was lost on the
 * way may be waited for. A package that two pulls need is fetched by one of them.
 */
export class Puller {
  readonly #components: PullerComponents
  readonly #claims = new Claims()

  constructor(components: PullerComponents) {
    this.#components = components
  }

  /**
   * Has packages published here with everything that they refer to.
   *
   * @param roots hash parts
   * @throws PackageUnavailableError, NoSourcesError, CannotStoreError, AbortedError; what was complete by then is published
   */
  async pull(roots: readonly string[], options: PullOptions = {}): Promise<PullResult> {
    const { store, links } = this.#components
    const from = options.from ?? links()
    const ready = prepare(from, (link) => roots.some((hash) => !store.hasClosure(hash) && link.mayHave(hash)))
    let result: PullResult
    try {
      result = await this.#pull(roots, from, ready, options)
    } catch (error) {
      // Why the pull failed says more than that something could not be cleaned up after it.
      await ready().catch(() => {})
      throw error
    }
    await ready().catch((cause) => {
      throw new CannotStoreError(cause)
    })
    return result
  }

  /** @param ready says that the first that is fetched is on its way: whoever fetches it has what was prepared */
  async #pull(
    roots: readonly string[],
    from: readonly SourceLink[],
    ready: () => Promise<void>,
    options: PullOptions,
  ): Promise<PullResult> {
    const { store } = this.#components
    const progress = new PullProgress(options.onEvent)
    const sources: Record<string, number> = {}
    const failed = new Map<SourceLink, SourceFailedError>()
    const comebacks = new Comebacks(options.comeback ?? 0)
    const fail = (link: SourceLink, error: SourceFailedError) => {
      failed.set(link, error)
      if (comebacks.isAway(link)) return
      progress.failed(link.source.name, error.code, error.message)
      this.#components.logger.warn(
        { source: link.source.name, code: error.code },
        `a source is left out: ${error.message}`,
      )
    }
    let present: number | undefined
    for (;;) {
      throwIfAborted(options.signal)
      if (roots.every((hash) => store.hasClosure(hash))) break
      const left = from.filter((link) => !failed.has(link))
      let plan: Plan
      try {
        if (left.length === 0) throw [...failed.values()][0] ?? new NoSourcesError()
        plan = await makePlan(store, left, roots, {
          ...(options.signal && { signal: options.signal }),
          ...(options.onFound && { onFound: options.onFound }),
          onFailure: fail,
          thorough: options.thorough === true,
          failed: failed.values(),
        })
      } catch (error) {
        const isForWant = error instanceof SourceFailedError || error instanceof PackageUnavailableError
        const lost = isForWant ? comebacks.lost(failed) : []
        const time = lost.length === 0 ? undefined : comebacks.next(progress.packages)
        if (time === undefined) throw error
        const names = lost.map(({ source }) => source.name)
        progress.waiting(names, time)
        await pause(time, options)
        for (const link of lost) {
          comebacks.waitedFor(link)
          failed.delete(link)
        }
        continue
      }
      for (const { link, others } of plan.missing) for (const each of [link, ...others]) comebacks.met(each)
      progress.planned(plan)
      present ??= plan.present.size
      const claim = this.#claims.claim(plan.missing.map(({ found }) => found.info.storePath.hash))
      try {
        await this.#wait(claim.others, options)
        const own = claimed(plan, claim.mine, store)
        // Those who should have fetched the rest have failed: their part has to be planned as well.
        if (own === undefined) continue
        await this.#execute(own, progress, sources, ready, options)
      } catch (error) {
        throwIfAborted(options.signal)
        if (!(error instanceof RunFailedError)) throw error
        const verdict = verdictOf(error.cause)
        // The others could not give it to us either.
        if (verdict === undefined) throw new CannotStoreError(error.cause)
        error.link.health.failed(error.cause)
        error.link.judge(error.hash, verdict, error.message)
        fail(error.link, new SourceFailedError(error.link.source.name, error.cause))
        options.onLeft?.()
      } finally {
        claim.release()
      }
    }
    progress.report()
    const { packages, bytes, received } = progress
    return { added: packages, bytes, present: present ?? roots.length, received, sources }
  }

  async #wait(others: readonly Promise<void>[], options: PullOptions): Promise<void> {
    if (others.length === 0) return
    const ended = unlessAborted(Promise.all(others), options.signal)
    options.onWaiting?.(ended)
    await ended
  }

  async #execute(
    planned: readonly Planned[],
    progress: PullProgress,
    sources: Record<string, number>,
    ready: () => Promise<void>,
    options: PullOptions,
  ): Promise<void> {
    for (const { packages } of intoRuns(planned)) {
      throwIfAborted(options.signal)
      const { link } = packages[0]!
      const { name } = link.source
      try {
        const fetching = link.fetch(
          packages.map(({ found }) => found),
          sharedBy(packages),
          {
            ...(options.signal && { signal: options.signal }),
            onBytes: (bytes) => {
              options.onBytes?.(bytes)
              progress.came(name, bytes)
            },
            onPublishing: () => options.onPublishing?.(),
            onLeft: () => options.onLeft?.(),
            ...(options.patience !== undefined && { patience: options.patience }),
            onPackage: (info) => {
              sources[name] = (sources[name] ?? 0) + 1
              progress.published(info)
            },
          },
        )
        // Should it fail, whoever pulls is told.
        ready().catch(() => {})
        await fetching
      } catch (cause) {
        throw new RunFailedError(link, packages[0]!.found.info.storePath.hash, cause)
      }
    }
  }
}

/** Has links make ready what fetching will need. @returns lets all of it go, once, however often it is called */
function prepare(links: readonly SourceLink[], isOfUse: (link: SourceLink) => boolean): () => Promise<void> {
  const prepared = links.filter(isOfUse).map((link) => link.prepare?.())
  let left: Promise<void> | undefined
  return () => {
    left ??= Promise.all(prepared.map((leave) => leave?.())).then(() => {})
    return left
  }
}

/** One run of a plan failed at its source. */
class RunFailedError extends Error {
  readonly link: SourceLink
  /** Hash part of the run's first package. */
  readonly hash: string

  constructor(link: SourceLink, hash: string, cause: unknown) {
    super(errorMessage(cause), { cause })
    this.link = link
    this.hash = hash
  }
}

/** One's own part of a plan, once others have fetched theirs; `undefined` when they have not. */
function claimed(plan: Plan, mine: readonly string[], store: PackageStore): Planned[] | undefined {
  const own = new Set(mine)
  const missing = plan.missing.filter(({ found }) => !store.hasClosure(found.info.storePath.hash))
  return missing.every(({ found }) => own.has(found.info.storePath.hash)) ? missing : undefined
}

/** Sources that have all of these packages as well. */
function sharedBy(packages: readonly Planned[]): SourceLink[] {
  const [first] = packages
  return (first?.others ?? []).filter((link) => packages.every(({ others }) => others.includes(link)))
}
