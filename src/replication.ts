/**
 * Where packages come from beside the local daemon: builds the sources of the settings, and does what is asked about them.
 */
import type { Config } from './config/schema.ts'
import type {
  PushRequest,
  PushSummary,
  RemoteCheck,
  SourceStatus,
  SyncOperations,
  SyncOptions,
  SyncRequest,
  SyncSummary,
} from './http/control/sync-api.ts'
import { createBuilderSource } from './ingest/builder/source.ts'
import { createGitRemote, type GitRemote } from './ingest/remote/git-remote.ts'
import { createUpstreamSource } from './ingest/upstream/source.ts'
import type { PathInfo } from './nix/path-info.ts'
import type { SecretKey } from './nix/signature.ts'
import { isHashPart, StorePath } from './nix/store-path.ts'
import { type PeerDirectory, PeerLinks } from './peer-links.ts'
import { SharePolicy } from './peers/inventory/share-policy.ts'
import type { PeerSource } from './peers/source/peer-source.ts'
import type { GitPackageStore } from './store/package-store.ts'
import type { TrustRule } from './sync/admit/trust.ts'
import { Claims } from './sync/claims.ts'
import { COMEBACK_TIME } from './sync/limits.ts'
import { PullThrough } from './sync/on-demand/on-demand.ts'
import { NoSourcesError } from './sync/pull/errors.ts'
import { mirror } from './sync/pull/mirror.ts'
import { Puller } from './sync/pull/puller.ts'
import { pushClosures } from './sync/push/push.ts'
import type { SourceLink } from './sync/source/link.ts'
import { NarLink } from './sync/source/nar-link.ts'
import { RepositoryLink } from './sync/source/repository-link.ts'
import { SharedQuarantine } from './sync/source/shared-quarantine.ts'
import { SOURCE_KINDS } from './sync/source/source.ts'
import type { TrustedKeys } from './trusted-keys.ts'
import { errorCode, errorMessage, GachixError } from './util/errors.ts'
import type { AbortOptions } from './util/lifecycle.ts'
import { type Logger, redactLine } from './util/log.ts'

export interface ReplicationInit {
  readonly config: Config
  readonly store: GitPackageStore
  readonly logger: Logger
  readonly trusted: TrustedKeys
  /** The node's own key: it signs what the node vouches for, and what it has signed comes back trusted. */
  readonly key: SecretKey
}

/** A name that the user gave is that of no source. */
export class UnknownSourceError extends GachixError {
  constructor(name: string, known: readonly string[]) {
    super(
      'ERR_UNKNOWN_SOURCE',
      `there is no source ${JSON.stringify(name)}; ${known.length > 0 ? `the sources are ${known.join(', ')}` : 'the settings name none'}`,
    )
  }
}

/** A source with its address. */
interface Listed {
  readonly link: SourceLink
  readonly url: string
}

export class Replication implements SyncOperations {
  readonly puller: Puller
  readonly pullThrough: PullThrough
  readonly #init: ReplicationInit
  readonly #quarantine: SharedQuarantine
  readonly #claims = new Claims()
  readonly #listed: Listed[]
  readonly #remotes = new Map<string, GitRemote>()
  readonly #closing: Array<() => void> = []
  #peers: PeerLinks | undefined

  constructor(init: ReplicationInit) {
    const { store, logger } = init
    this.#init = init
    this.#quarantine = new SharedQuarantine((name) => store.quarantine(name))
    this.#listed = [...this.#remoteLinks(), ...this.#builderLinks(), ...this.#upstreamLinks()]
    const links = () => this.links
    this.puller = new Puller({ store, links, logger })
    this.pullThrough = new PullThrough({
      ...{ store, puller: this.puller, links, logger },
      budget: init.config.store.upstreamTimeout,
    })
    for (const { source } of this.links) {
      if (source.trust.requireSignatures) continue
      logger.warn(
        { source: source.name },
        `${source.name} is believed without signatures (require_signatures: false)`,
      )
    }
  }

  /** Peers are sources from now on, as long as they are connected. */
  usePeers(mesh: PeerDirectory): void {
    this.#peers = new PeerLinks(mesh, (source) => this.#peerLink(source, mesh))
  }

  /** The peers that are connected. */
  get peerLinks(): readonly SourceLink[] {
    return this.#peers?.current() ?? []
  }

  /** All sources in the order in which they are asked. */
  get links(): readonly SourceLink[] {
    const all = [...this.peerLinks, ...this.#listed.map(({ link }) => link)]
    return SOURCE_KINDS.flatMap((kind) => all.filter(({ source }) => source.kind === kind))
  }

  /** A source by its name, or a binary cache by its URL. @throws UnknownSourceError */
  linkTo(name: string): SourceLink {
    const found = this.links.find(({ source }) => source.name === name)
    if (found !== undefined) return found
    if (!/^(https?|file):\/\//.test(name)) throw new UnknownSourceError(name, this.#names())
    return this.#upstreamLink({ url: name, name: redactLine(name), requireSignatures: true, publicKeys: [] })
      .link
  }

  async sync(request: SyncRequest, options: SyncOptions = {}): Promise<SyncSummary> {
    const started = performance.now()
    const from = request.from === undefined ? this.links : [this.linkTo(request.from)]
    if (from.length === 0) throw new NoSourcesError()
    const result =
      request.paths.length > 0
        ? {
            skipped: 0,
            ...(await this.puller.pull(this.#hashes(request.paths), {
              ...{ ...options, from, thorough: true, comeback: COMEBACK_TIME },
            })),
          }
        : await this.#mirror(from, options)
    return { ...result, seconds: secondsSince(started) }
  }

  async push(request: PushRequest, options: SyncOptions = {}): Promise<PushSummary> {
    const started = performance.now()
    const roots = this.#hashes(request.paths)
    const result = await pushClosures(this.#init.store, this.#remote(request.remote), roots, options)
    return { ...result, seconds: secondsSince(started) }
  }

  async checkRemotes(names: readonly string[], options: AbortOptions = {}): Promise<readonly RemoteCheck[]> {
    const wanted = names.length > 0 ? names : [...this.#remotes.keys()]
    return Promise.all(wanted.map((name) => checkRemote(name, this.#remote(name), options)))
  }

  async sources(): Promise<readonly SourceStatus[]> {
    return this.links.map((link) => {
      const { name, kind, trust } = link.source
      const url = this.#listed.find((listed) => listed.link === link)?.url ?? 'mesh'
      return { name, kind, url, requireSignatures: trust.requireSignatures, ...link.health.snapshot }
    })
  }

  /** Gives up what is being pulled for clients, and lets all connections go. */
  async close(): Promise<void> {
    await this.pullThrough.stop()
    await Promise.all(this.#listed.map(({ link }) => link.close()))
    await this.#peers?.close()
    for (const close of this.#closing) close()
  }

  async #mirror(from: readonly SourceLink[], options: SyncOptions) {
    const { store, config } = this.#init
    // What follows peers by itself (`mirror`) and what comes when it is asked for (`on-demand`) both mean everything here.
    const policy = typeof config.mesh.sync === 'string' ? undefined : new SharePolicy(config.mesh.sync)
    const wanted = policy && (({ storePath }: PathInfo) => policy.shares(storePath.name))
    const repositories = from.filter((link) => link instanceof RepositoryLink)
    if (repositories.length === 0) {
      throw new GachixError(
        'ERR_CANNOT_LIST',
        `${from.map(({ source }) => source.name).join(', ')}: only Git remotes and peers tell all that they have; name the paths to pull`,
      )
    }
    const total = {
      added: 0,
      bytes: 0,
      present: 0,
      received: 0,
      skipped: 0,
      sources: {} as Record<string, number>,
    }
    for (const link of repositories) {
      const result = await mirror(store, this.puller, link, {
        ...{ ...options, comeback: COMEBACK_TIME },
        ...(wanted && { wanted }),
      })
      for (const key of ['added', 'bytes', 'present', 'received', 'skipped'] as const)
        total[key] += result[key]
      for (const [name, count] of Object.entries(result.sources)) {
        total.sources[name] = (total.sources[name] ?? 0) + count
      }
    }
    return total
  }

  #remoteLinks(): Listed[] {
    const { config, store, key } = this.#init
    return config.store.remotes.map((setting) => {
      const remote = this.#createRemote(setting.url, setting.name)
      this.#remotes.set(setting.name, remote)
      const source = {
        name: setting.name,
        kind: 'remote',
        gives: 'objects',
        repository: remote,
        trust: this.#trust(setting),
      } as const
      const components = { store, quarantine: this.#quarantine, claims: this.#claims, key }
      return { link: new RepositoryLink(source, components), url: remote.url }
    })
  }

  #builderLinks(): Listed[] {
    const { config, store, key } = this.#init
    const { sshPrivateKeyPath } = config.store
    return config.store.builders.map((setting) => {
      const builder = createBuilderSource(setting, {
        storeDir: store.storeDir,
        ...(sshPrivateKeyPath !== undefined && { identityFile: sshPrivateKeyPath }),
      })
      this.#closing.push(() => builder.close())
      const facts = { name: setting.name, kind: 'builder', trust: this.#trust(setting) } as const
      return {
        link: new NarLink({ ...facts, gives: 'nars', packages: builder }, store, key),
        url: redactLine(setting.url),
      }
    })
  }

  #upstreamLinks(): Listed[] {
    return this.#init.config.store.upstreams.map((setting) => this.#upstreamLink(setting))
  }

  #upstreamLink(setting: Config['store']['upstreams'][number]): Listed {
    const { store, key } = this.#init
    const upstream = createUpstreamSource({ url: setting.url, name: setting.name, storeDir: store.storeDir })
    const facts = { name: setting.name, kind: 'upstream', trust: this.#trust(setting) } as const
    return {
      link: new NarLink({ ...facts, gives: 'nars', packages: upstream }, store, key),
      url: redactLine(setting.url),
    }
  }

  #peerLink(source: PeerSource, mesh: PeerDirectory): RepositoryLink {
    const { store, key } = this.#init
    const trust = this.#trust({ requireSignatures: true, publicKeys: [] })
    return new RepositoryLink(
      { name: source.name, kind: 'peer', gives: 'objects', repository: source, trust },
      {
        ...{ store, key, quarantine: this.#quarantine, claims: this.#claims },
        mayHave: (hash) => mesh.whoHas(hash).includes(source.id),
        judge: (hash, verdict, details) => mesh.report(source.id, hash, verdict, details),
      },
    )
  }

  #trust(setting: Pick<Config['store']['remotes'][number], 'requireSignatures' | 'publicKeys'>): TrustRule {
    const { requireSignatures, publicKeys } = setting
    const { trusted, key } = this.#init
    return {
      requireSignatures,
      // Keys come and go while the node runs.
      get publicKeys() {
        return [...trusted.all, ...publicKeys, key.publicKey]
      },
    }
  }

  #createRemote(url: string, name?: string): GitRemote {
    const { sshPrivateKeyPath } = this.#init.config.store
    return createGitRemote({
      url,
      ...(name !== undefined && { name }),
      ...(sshPrivateKeyPath !== undefined && { identityFile: sshPrivateKeyPath }),
    })
  }

  /** A remote of the settings, or one that the user names by its place. */
  #remote(nameOrUrl: string): GitRemote {
    const known = this.#remotes.get(nameOrUrl)
    if (known !== undefined) return known
    if (!/[/:]/.test(nameOrUrl)) throw new UnknownSourceError(nameOrUrl, [...this.#remotes.keys()])
    return this.#createRemote(nameOrUrl)
  }

  #hashes(paths: readonly string[]): string[] {
    const { storeDir } = this.#init.store
    return paths.map((path) => (isHashPart(path) ? path : StorePath.containing(path, storeDir).hash))
  }

  #names(): string[] {
    return this.links.map(({ source }) => source.name)
  }
}

async function checkRemote(name: string, remote: GitRemote, options: AbortOptions): Promise<RemoteCheck> {
  try {
    const { transport, version, selective, packages, latency } = await remote.check(options)
    return {
      name,
      url: remote.url,
      works: { transport, version, selective, packages, latency: Math.round(latency) },
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    return { name, url: remote.url, problem: { code: errorCode(error), message: errorMessage(error) } }
  }
}

function secondsSince(started: number): number {
  return Math.round(performance.now() - started) / 1000
}
