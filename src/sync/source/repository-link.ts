import { throwIfAborted } from '../../ingest/abort.ts'
import type { SecretKey } from '../../nix/signature.ts'
import type { PackageStore, RemotePackage, RepositorySession } from '../../store/api.ts'
import { parseStoredNarInfo } from '../../store/stored-narinfo.ts'
import { errorMessage, GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { checkTrust, UntrustedPackageError } from '../admit/trust.ts'
import { vouchedFor } from '../admit/vouched-for.ts'
import type { Claims } from '../claims.ts'
import { PACKAGES_A_REQUEST } from '../limits.ts'
import { SourceFailedError } from '../pull/errors.ts'
import { inBatches } from '../repository/batches.ts'
import type { Announced } from '../repository/giver.ts'
import { Helpers } from '../repository/helpers.ts'
import {
  fetchNarInfos,
  NarInfoNotSentError,
  type RemoteNarInfo,
  streamNarInfos,
  unread,
} from '../repository/narinfos.ts'
import { Transfer } from '../repository/transfer.ts'
import { HealthRecord } from './health.ts'
import {
  type FetchOptions,
  type Findings,
  type Found,
  type SourceLink,
  type Verdict,
  verdictOf,
} from './link.ts'
import { DEFAULT_PATIENCE, type Patience } from './patient-session.ts'
import { SessionPool } from './session-pool.ts'
import type { SharedQuarantine } from './shared-quarantine.ts'
import type { RepositoryBacked, Source } from './source.ts'

export interface RepositoryLinkComponents {
  readonly store: PackageStore
  readonly quarantine: SharedQuarantine
  readonly claims: Claims
  /** Signs what is believed because the source is. */
  readonly key: SecretKey
  /** Whether the source may have a package; that it does not know of one is taken for granted. */
  readonly mayHave?: (hash: string) => boolean
  /** Told what came of fetching a package. */
  readonly judge?: (hash: string, verdict: Verdict, details: string) => void
  /** How slow the repository may be; default `DEFAULT_PATIENCE`. */
  readonly patience?: Patience
}

/** A source that is a repository in gachix's format: a Git remote, a peer. */
export class RepositoryLink implements SourceLink {
  readonly source: Source & RepositoryBacked
  readonly health = new HealthRecord()
  readonly #components: RepositoryLinkComponents
  readonly #sessions: SessionPool

  constructor(source: Source & RepositoryBacked, components: RepositoryLinkComponents) {
    this.source = source
    this.#components = components
    this.#sessions = new SessionPool(source.repository, this.health, components.patience ?? DEFAULT_PATIENCE)
  }

  mayHave(hash: string): boolean {
    return this.#components.mayHave?.(hash) ?? true
  }

  judge(hash: string, verdict: Verdict, details = ''): void {
    this.#components.judge?.(hash, verdict, details)
  }

  /** Runs `work` with a session to the repository. */
  use<T>(work: (session: RepositorySession) => Promise<T>, options: AbortOptions): Promise<T> {
    return this.health.observe(() => this.#sessions.use(work, options))
  }

  async announced(
    hashes: readonly string[],
    options: AbortOptions,
  ): Promise<ReadonlyMap<string, RemotePackage>> {
    const there = new Map<string, RemotePackage>()
    await this.use(async (session) => {
      for (let at = 0; at < hashes.length; at += PACKAGES_A_REQUEST) {
        const part = hashes.slice(at, at + PACKAGES_A_REQUEST)
        for (const [hash, remote] of await this.#ask(part, session, options)) there.set(hash, remote)
      }
    }, options)
    return there
  }

  /** One or two round trips for each few thousand packages: what is there, and the narinfos. */
  async find(hashes: readonly string[], options: AbortOptions): Promise<Findings> {
    const found = new Map<string, Found>()
    const refused: GachixError[] = []
    try {
      await this.#sessions.use(async (session) => {
        for (let at = 0; at < hashes.length; at += PACKAGES_A_REQUEST) {
          const part = hashes.slice(at, at + PACKAGES_A_REQUEST)
          await this.#findPart(part, session, { found, refused }, options)
        }
      }, options)
    } catch (error) {
      if (verdictOf(error) === 'lied' && hashes[0] !== undefined) {
        this.judge(hashes[0], 'lied', errorMessage(error))
      }
      throw error
    }
    return { found, refused }
  }

  prepare(): () => Promise<void> {
    return this.#components.quarantine.prepare()
  }

  async fetch(
    packages: readonly Found[],
    others: readonly SourceLink[],
    options: FetchOptions,
  ): Promise<void> {
    const { store, quarantine, claims } = this.#components
    const announced = packages.filter(isAnnounced)
    const links = others.filter((link): link is RepositoryLink => link instanceof RepositoryLink)
    const helpers = new Helpers(links, announced)
    await quarantine.use(async (opened) => {
      const transfer = new Transfer({ store, quarantine: opened, claims, first: this, helpers, options })
      await this.#bring([...inBatches(announced)], transfer, options)
    })
    for (const { info } of packages) {
      this.judge(info.storePath.hash, 'delivered')
      this.health.packages++
      this.health.narBytes += info.narSize
    }
  }

  /**
   * While up to two batches are being proven the blobs of the next are on their way, and where that costs nothing the trees of the one
   * after.
   */
  async #bring(
    batches: readonly (readonly Announced[])[],
    transfer: Transfer,
    options: FetchOptions,
  ): Promise<void> {
    const ahead = this.source.repository.hasCheapSessions === true
    let provingBefore: Promise<void> = Promise.resolve()
    let proving: Promise<void> = Promise.resolve()
    let trees: Promise<void> | undefined
    let blobs: Promise<void> | undefined
    try {
      for (const [i, batch] of batches.entries()) {
        await (trees ?? transfer.gatherTrees(batch))
        const next = batches[i + 1]
        trees = ahead && next !== undefined ? transfer.gatherTrees(next) : undefined
        // It is awaited in its turn.
        trees?.catch(() => {})
        blobs = transfer.gatherBlobs(batch)
        await Promise.all([blobs, provingBefore])
        provingBefore = proving
        proving = proving.then(() => transfer.prove(batch))
        proving.catch(() => {})
      }
      options.onPublishing()
    } finally {
      // Nothing may come to a quarantine any more that nobody uses.
      transfer.leave()
      await Promise.allSettled([trees, blobs])
      await proving
    }
  }

  close(): Promise<void> {
    return this.#sessions.close()
  }

  /** Asks what is there of some packages; one that was promised and is not is held against the source. */
  async #ask(
    hashes: readonly string[],
    session: RepositorySession,
    options: AbortOptions,
  ): Promise<ReadonlyMap<string, RemotePackage>> {
    const there = await session.packages(hashes, options)
    // Once a question: who has just removed many packages has told of that, or is about to.
    const promised = hashes.find((hash) => !there.has(hash) && this.#components.mayHave?.(hash))
    if (promised !== undefined)
      this.judge(promised, 'did not have it', `${promised} was announced and is not there`)
    return there
  }

  async #findPart(
    hashes: readonly string[],
    session: RepositorySession,
    { found, refused }: { found: Map<string, Found>; refused: GachixError[] },
    options: AbortOptions,
  ): Promise<void> {
    const { quarantine, claims } = this.#components
    const { name } = this.source
    const asking = this.#ask(hashes, session, options)
    const read = new Set<string>()
    const take = async (narinfos: AsyncIterable<RemoteNarInfo>): Promise<void> => {
      for await (const narinfo of narinfos) {
        const { hash, commit } = narinfo.remote
        read.add(hash)
        // What was added there without its references cannot be told from here what it is a part of.
        if (commit === undefined) continue
        try {
          found.set(hash, this.#understand(hash, commit, await narinfo.read()))
        } catch (error) {
          throwIfAborted(options.signal)
          if (!(error instanceof GachixError)) throw error
          refused.push(error instanceof UntrustedPackageError ? error : new SourceFailedError(name, error))
        }
      }
    }
    if (session.narinfos !== undefined) {
      const send = (wanted: readonly string[]) => session.narinfos!(wanted, options)
      await take(streamNarInfos(send, hashes, asking))
    }
    const there = await asking
    if (session.narinfos === undefined && there.size > 0)
      await quarantine.use((opened) =>
        take(fetchNarInfos(session, there, { quarantine: opened, claims }, options)),
      )
    const unsent = unread(there, read)
    for (const hash of unsent) refused.push(new SourceFailedError(name, new NarInfoNotSentError(hash)))
    // Once a question, as for what was promised.
    const [first] = unsent
    if (first !== undefined) this.judge(first, 'did not have it', new NarInfoNotSentError(first).message)
  }

  /** @throws NarInfoError, UntrustedPackageError */
  #understand(hash: string, commit: string, blob: Uint8Array): Announced {
    const { key, store } = this.#components
    const { name, trust } = this.source
    const { info } = parseStoredNarInfo(hash, Buffer.from(blob).toString('utf8'), store.storeDir)
    return { ...vouchedFor(info, checkTrust(info, name, trust), key), commit }
  }
}

function isAnnounced(found: Found): found is Announced {
  return found.commit !== undefined
}
