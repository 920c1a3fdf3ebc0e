/** Stores that replicate from each other in one process, with sources that are watched and can be made to misbehave. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGitRemote } from '../../src/ingest/remote/git-remote.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { SecretKey, sign } from '../../src/nix/signature.ts'
import type { FetchRequest, RepositorySession, RepositorySource } from '../../src/store/api.ts'
import { GitPackageStore, type PackageStoreOptions } from '../../src/store/package-store.ts'
import type { TrustRule } from '../../src/sync/admit/trust.ts'
import { Claims } from '../../src/sync/claims.ts'
import { PullThrough } from '../../src/sync/on-demand/on-demand.ts'
import { Puller } from '../../src/sync/pull/puller.ts'
import type { SourceLink, Verdict } from '../../src/sync/source/link.ts'
import type { Patience } from '../../src/sync/source/patient-session.ts'
import { RepositoryLink } from '../../src/sync/source/repository-link.ts'
import { SharedQuarantine } from '../../src/sync/source/shared-quarantine.ts'
import type { SourceKind } from '../../src/sync/source/source.ts'
import { silentLogger } from '../../src/util/log.ts'
import { chunksOf, type MadePackage } from './packages.ts'

/** The key that signs what the tests publish. */
export const TEAM_KEY = SecretKey.generate('team.test-1')

/** The same facts with the signature of a key. */
export function signedBy(info: PathInfo, key: SecretKey): PathInfo {
  return { ...info, signatures: [...info.signatures, sign(key, info)] }
}

/** Writes packages to a repository, references first, signed by the team's key unless another one, or none, is given. */
export async function publishTo(
  path: string,
  packages: readonly MadePackage[],
  key: SecretKey | null = TEAM_KEY,
): Promise<void> {
  const store = await GitPackageStore.open({ path })
  try {
    const session = store.ingest()
    for (const { info, nar } of packages) {
      await session.add(key === null ? info : signedBy(info, key), chunksOf(nar))
    }
    await session.finish()
  } finally {
    await store.close()
  }
}

/** What a test may do to a source's answers. */
export interface Faults {
  /** Thrown instead of connecting, while set. */
  unreachable?: Error
  /** Thrown instead of saying what packages there are, while set. */
  packages?: Error
  /** Sends narinfos by themselves: a source that has this is one that can. */
  narinfos?: NonNullable<RepositorySession['narinfos']>
  /** Changes the bytes of every pack; `call` counts from 0. */
  pack?: (chunks: AsyncIterable<Uint8Array>, request: FetchRequest, call: number) => AsyncIterable<Uint8Array>
}

/** A repository on this machine as a source, which notes what it is asked for. */
export class WatchedSource implements RepositorySource {
  readonly name: string
  readonly faults: Faults = {}
  /** What was asked for, in order. */
  readonly requests: FetchRequest[] = []
  /** Questions about packages. */
  questions = 0
  readonly #source: RepositorySource

  constructor(name: string, path: string) {
    this.name = name
    this.#source = createGitRemote({ url: path, name })
  }

  /** Ids that were wanted, as often as they were. */
  get wants(): string[] {
    return this.requests.flatMap(({ wants }) => wants)
  }

  async open(options?: { signal?: AbortSignal }): Promise<RepositorySession> {
    if (this.faults.unreachable !== undefined) throw this.faults.unreachable
    const session = await this.#source.open(options)
    const { faults, requests } = this
    return {
      selective: session.selective,
      get bytesReceived() {
        return session.bytesReceived
      },
      get bytesSent() {
        return session.bytesSent
      },
      packages: async (hashes, abort) => {
        this.questions++
        if (faults.packages !== undefined) throw faults.packages
        return session.packages(hashes, abort)
      },
      ...(faults.narinfos && { narinfos: faults.narinfos }),
      list: (abort) => session.list(abort),
      fetch: (request, abort) => {
        const call = requests.push(request) - 1
        const chunks = session.fetch(request, abort)
        return faults.pack === undefined ? chunks : faults.pack(chunks, request, call)
      },
      close: () => session.close(),
    }
  }
}

export interface ReplicaSource {
  readonly source: RepositorySource
  readonly kind?: SourceKind
  readonly trust?: Partial<TrustRule>
  readonly patience?: Patience
}

/** A store that pulls from other repositories. */
export class Replica implements AsyncDisposable {
  readonly store: GitPackageStore
  readonly links: readonly SourceLink[]
  /** How sources were judged, by their names. */
  readonly verdicts: [source: string, verdict: Verdict][] = []
  readonly puller: Puller
  readonly onDemand: PullThrough
  readonly #folder: string | undefined

  private constructor(store: GitPackageStore, sources: readonly ReplicaSource[], folder: string | undefined) {
    this.store = store
    this.#folder = folder
    const key = SecretKey.generate('replica.test-1')
    const components = {
      store,
      key,
      quarantine: new SharedQuarantine((name) => store.quarantine(name)),
      claims: new Claims(),
    }
    this.links = sources.map(({ source, kind = 'remote', trust, patience }) => {
      const rule = { requireSignatures: true, publicKeys: [TEAM_KEY.publicKey], ...trust }
      const facts = { name: source.name, kind, trust: rule, gives: 'objects', repository: source } as const
      const judge = (_: string, verdict: Verdict) => void this.verdicts.push([source.name, verdict])
      return new RepositoryLink(facts, { ...components, judge, ...(patience && { patience }) })
    })
    const links = () => this.links
    this.puller = new Puller({ store, links, logger: silentLogger })
    this.onDemand = new PullThrough({ store, puller: this.puller, links, logger: silentLogger })
  }

  /** On a new repository, or the one at `path`. */
  static async open(
    sources: readonly ReplicaSource[],
    path?: string,
    options: Partial<PackageStoreOptions> = {},
  ): Promise<Replica> {
    const folder = path === undefined ? await mkdtemp(join(tmpdir(), 'gachix-replica-')) : undefined
    const store = await GitPackageStore.open({ ...options, path: path ?? join(folder!, 'cache') })
    return new Replica(store, sources, folder)
  }

  /** Ends everything, and looks at the repository with git before it is removed. */
  async close(): Promise<void> {
    await this.onDemand.stop()
    await Promise.all(this.links.map((link) => link.close()))
    await this.store.close()
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
