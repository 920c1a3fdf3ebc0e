import { parseCommit } from '../../git/commit.ts'
import { throwIfAborted, unlessAborted } from '../../ingest/abort.ts'
import type {
  AnnouncedContents,
  FetchRequest,
  PackageStore,
  Quarantine,
  ReceiveLimits,
  RepositorySession,
} from '../../store/api.ts'
import { counted } from '../../util/counted.ts'
import { errorMessage } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Claims } from '../claims.ts'
import { blobLimits, packageLimits, treeLimits } from '../limits.ts'
import { type FetchOptions, verdictOf } from '../source/link.ts'
import { Crew } from './crew.ts'
import type { Announced, Giver } from './giver.ts'
import type { Helpers } from './helpers.ts'
import { IncompletePackError } from './incomplete-pack.ts'
import { withPatience } from './patience.ts'
import { intoShares, LEAST_SHARE, type MissingContents } from './shares.ts'

/** A commit of a package with a thousand references has 50 KB. */
const MAX_COMMIT_SIZE = 2 * 1024 * 1024

export interface TransferComponents {
  readonly store: PackageStore
  readonly quarantine: Quarantine
  readonly claims: Claims
  /** The source that announced the packages. */
  readonly first: Giver
  /** Others that may have the same packages. */
  readonly helpers: Helpers
  readonly options: FetchOptions
}

interface ShareOptions {
  /** Where others find what does not come. */
  readonly queue: string[][]
  readonly limits: ReceiveLimits
  /** What each giver that has failed threw. */
  readonly failures: Map<Giver, unknown>
  /** Told when all of it has come. */
  readonly onArrived: () => void
}

/** One pull of packages from a repository and those that have the same: into quarantine, and out of it once proven. */
export class Transfer {
  readonly #components: TransferComponents
  /** Commits that are in quarantine and not published yet, by the packages' hash parts. */
  readonly #commits = new Map<string, string>()
  /** Whether the source of a batch's trees sends single blobs. */
  readonly #selective = new WeakMap<readonly Announced[], boolean>()
  readonly #crew: Crew
  /** Hash part of a package of the batch under way: what helpers are judged by. */
  #subject = ''
  /** Givers that have failed. */
  readonly #lost = new Set<Giver>()
  readonly #leaving = new AbortController()
  /** The options for what is brought here: it ends when the transfer is left. */
  readonly #gathering: FetchOptions

  constructor(components: TransferComponents) {
    this.#components = components
    const { options } = components
    const signals = [this.#leaving.signal, ...(options.signal ? [options.signal] : [])]
    this.#gathering = { ...options, signal: AbortSignal.any(signals) }
    const { quarantine } = components
    this.#crew = new Crew(() => [performance.eventLoopUtilization().active, quarantine.worked])
  }

  /**
   * Brings the commits and trees of a batch into quarantine that are not here. Of a source that is not selective all comes that it sends for
   * the commits. Batches come one after the other.
   */
  async gatherTrees(batch: readonly Announced[]): Promise<void> {
    const wanted = await this.#incomplete(batch)
    const selective = await this.#components.first.use(async (session) => {
      if (wanted.length > 0) await this.#fetchCommits(session, wanted)
      return session.selective
    }, this.#gathering)
    this.#selective.set(batch, selective)
    for (const { info, commit } of batch) this.#commits.set(info.storePath.hash, commit)
  }

  /** Brings the blobs of a batch into quarantine that are missing, once its trees are there. */
  async gatherBlobs(batch: readonly Announced[]): Promise<void> {
    this.#subject = batch[0]!.info.storePath.hash
    if (this.#selective.get(batch) === true) await this.#fetchBlobs(batch)
  }

  /** Ends what is being gathered; what has come can still be proven. */
  leave(): void {
    this.#leaving.abort()
  }

  /** Proves the packages of a batch, references first, and publishes them. */
  async prove(batch: readonly Announced[]): Promise<void> {
    const { quarantine, options } = this.#components
    const { signal, onPackage } = options
    for (const { info, proof, commit } of batch) {
      await quarantine.admit(info, commit, {
        ...(signal && { signal }),
        proveContentAddress: proof.by === 'content-address',
      })
    }
    await quarantine.publish(pass(options))
    for (const { info } of batch) onPackage(info)
  }

  /** Packages whose commit or trees have to be fetched: not those that an earlier, broken transfer brought. */
  async #incomplete(batch: readonly Announced[]): Promise<Announced[]> {
    const { quarantine } = this.#components
    const options = this.#gathering
    const wanted: Announced[] = []
    for (const found of batch) {
      const complete =
        quarantine.has(found.commit) &&
        (await this.#treeOf(found)
          .then((tree) => quarantine.missingBlobs(tree, pass(options)))
          .then(
            () => true,
            () => false,
          ))
      throwIfAborted(options.signal)
      if (!complete) wanted.push(found)
    }
    return wanted
  }

  async #fetchCommits(session: RepositorySession, wanted: readonly Announced[]): Promise<void> {
    const infos = wanted.map(({ info }) => info)
    const request = {
      wants: wanted.map(({ commit }) => commit),
      haves: this.#haves(wanted),
      ...(session.selective && { omitBlobs: true }),
    }
    const limits = session.selective ? treeLimits(infos) : packageLimits(infos)
    await this.#receive(this.#components.first, session, request, limits)
  }

  /** The commits that the wanted ones follow: published here, or fetched before. */
  #haves(wanted: readonly Announced[]): string[] {
    const { store } = this.#components
    const inside = new Set(wanted.map(({ info }) => info.storePath.hash))
    const haves = new Set<string>()
    for (const { info } of wanted) {
      for (const { hash } of info.references) {
        const commit = inside.has(hash) ? undefined : (this.#commits.get(hash) ?? store.commitOf(hash))
        if (commit !== undefined) haves.add(commit)
      }
    }
    return [...haves]
  }

  async #fetchBlobs(batch: readonly Announced[]): Promise<void> {
    const { claims } = this.#components
    const { signal } = this.#gathering
    const limits = blobLimits(batch.map(({ info }) => info))
    let missing = await this.#expect(batch)
    for (;;) {
      const { mine, others, release } = claims.claim(missing.flatMap(({ blobs }) => blobs))
      const claimed = new Set(mine)
      try {
        await this.#share(
          missing.map(({ narSize, blobs }) => ({ narSize, blobs: blobs.filter((oid) => claimed.has(oid)) })),
          limits,
        )
      } finally {
        release()
      }
      if (others.length === 0) return
      await unlessAborted(Promise.all(others), signal)
      throwIfAborted(signal)
      missing = [{ narSize: Infinity, blobs: [...(await this.#missing(batch))] }]
    }
  }

  /** What is missing of each package of a batch; its NARs are hashed as that comes. */
  async #expect(batch: readonly Announced[]): Promise<MissingContents[]> {
    const { quarantine } = this.#components
    const packages: AnnouncedContents[] = []
    for (const found of batch) packages.push({ info: found.info, tree: await this.#treeOf(found) })
    const missing = await quarantine.expect(packages, pass(this.#gathering))
    return missing.map((blobs, i) => ({ narSize: batch[i]!.info.narSize, blobs }))
  }

  async #missing(batch: readonly Announced[]): Promise<Set<string>> {
    const { quarantine } = this.#components
    const missing = new Set<string>()
    for (const found of batch) {
      const tree = await this.#treeOf(found)
      for (const oid of await quarantine.missingBlobs(tree, pass(this.#gathering))) missing.add(oid)
    }
    return missing
  }

  /** Has blobs fetched by those who have them. One that fails leaves its share to the others. */
  async #share(missing: readonly MissingContents[], limits: ReceiveLimits): Promise<void> {
    const { first, helpers } = this.#components
    const count = missing.reduce((sum, { blobs }) => sum + blobs.length, 0)
    const isWorthSharing = count >= LEAST_SHARE
    const givers = isWorthSharing ? [first, ...helpers.able] : [first]
    const all = isWorthSharing ? 1 + helpers.givers.length : 1
    const [working, reach] = [Math.min(this.#crew.size, givers.length), this.#crew.reach(all)]
    const queue = intoShares(missing, working, reach)
    const failures = new Map<Giver, unknown>()
    await this.#crew.share(
      givers,
      () => queue.length > 0,
      async (giver) => {
        await this.#work(giver, queue, limits, failures)
        return !failures.has(giver) && this.#gathering.signal?.aborted !== true
      },
      (join) => {
        if (isWorthSharing) helpers.recruit(join, this.#gathering)
      },
    )
    throwIfAborted(this.#gathering.signal)
    if (queue.length > 0) throw failures.get(first) ?? [...failures.values()][0]
  }

  /**
   * Fetches shares until none is left, or until the giver fails. The next one is asked for when all of one has come, while the last of it is
   * being taken in.
   */
  async #work(
    giver: Giver,
    queue: string[][],
    limits: ReceiveLimits,
    failures: Map<Giver, unknown>,
  ): Promise<void> {
    let before: Promise<void> | undefined
    while (queue.length > 0 && !failures.has(giver) && this.#gathering.signal?.aborted !== true) {
      const { promise: arrived, resolve: onArrived } = Promise.withResolvers<void>()
      const share = this.#fetchShare(giver, queue.shift()!, { queue, limits, failures, onArrived })
      await Promise.all([before, Promise.race([arrived, share])])
      before = share
    }
    await before
  }

  /** Fetches one share; what does not come of it goes back to the others. Never throws. */
  async #fetchShare(
    giver: Giver,
    wants: readonly string[],
    { queue, limits, failures, onArrived }: ShareOptions,
  ): Promise<void> {
    const { quarantine } = this.#components
    const options = this.#gathering
    try {
      let receiving: Promise<void> | undefined
      const arrived = Promise.withResolvers<void>()
      await giver.use(async (session) => {
        receiving = this.#receive(giver, session, { wants, haves: [] }, limits, arrived.resolve)
        // Its failure comes up below, or is that of a session that was given up.
        receiving.catch(() => {})
        await Promise.race([arrived.promise, receiving])
      }, options)
      onArrived()
      await receiving
    } catch (error) {
      // Whoever gives up has nothing to say of the others.
      if (options.signal?.aborted) return
      if (!failures.has(giver)) {
        this.#lost.add(giver)
        options.onLeft?.()
        const verdict = verdictOf(error)
        if (verdict !== undefined) giver.judge(this.#subject, verdict, errorMessage(error))
      }
      failures.set(giver, error)
    }
    // What arrived before it broke off need not come again; what it left out has to come from another.
    const left = wants.filter((oid) => !quarantine.has(oid))
    if (left.length === 0) return
    if (!failures.has(giver)) {
      failures.set(giver, new IncompletePackError(left.length))
      giver.judge(this.#subject, 'did not have it')
    }
    queue.push(left)
  }

  /** @param onArrived told when all of the pack has come */
  async #receive(
    giver: Giver,
    session: RepositorySession,
    request: FetchRequest,
    limits: ReceiveLimits,
    onArrived: () => void = () => {},
  ): Promise<void> {
    const { quarantine } = this.#components
    const options = this.#gathering
    const pack = session.fetch(request, pass(options))
    const { patience } = options
    const chunks =
      patience === undefined ? pack : withPatience(pack, patience, () => this.#isDispensable(giver))
    await quarantine.receive(untilEnd(counted(chunks, options.onBytes), onArrived), limits, {
      ...pass(options),
      order: request.wants,
    })
  }

  /** Whether others have the same as a giver: the last one that has it may take its time. */
  async #isDispensable(giver: Giver): Promise<boolean> {
    const { first, helpers } = this.#components
    if (giver !== first && !this.#lost.has(first)) return true
    const others = helpers.givers.filter((other) => other !== giver && !this.#lost.has(other))
    return helpers.canAny(others, this.#gathering)
  }

  async #treeOf({ commit }: Announced): Promise<string> {
    const { quarantine } = this.#components
    const { data } = await quarantine.read(commit, { ...pass(this.#gathering), maxSize: MAX_COMMIT_SIZE })
    return parseCommit(data).tree
  }
}

/** A source whose end is told, unless it fails: then whoever lent it finds out. */
async function* untilEnd(source: AsyncIterable<Uint8Array>, tell: () => void): AsyncGenerator<Uint8Array> {
  yield* source
  tell()
}

function pass({ signal }: AbortOptions): AbortOptions {
  return signal === undefined ? {} : { signal }
}
