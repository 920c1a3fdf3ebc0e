import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DeflatePool } from '../git/deflate/pool.ts'
import { RepositoryLock } from '../git/lock.ts'
import { ObjectDatabase } from '../git/object-database.ts'
import { isOid, type Oid } from '../git/oid.ts'
import { sendPack } from '../git/pack/send.ts'
import { packageRef } from '../git/refs/package-refs.ts'
import { RefStore } from '../git/refs/ref-store.ts'
import { Repository } from '../git/repository.ts'
import { selectObjects } from '../git/walk/select.ts'
import { MAX_NARINFO_SIZE } from '../nix/narinfo.ts'
import type { PathInfo } from '../nix/path-info.ts'
import { DEFAULT_STORE_DIR, StorePath } from '../nix/store-path.ts'
import { errorMessage, GachixError } from '../util/errors.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import { type Logger, silentLogger } from '../util/log.ts'
import type {
  FetchRequest,
  GitService,
  IngestSession,
  NarBody,
  NarEncoding,
  ObjectGiver,
  PackageEntry,
  PackageStore,
  PackOptions,
  Quarantine,
  RemotePackage,
  StoredPackage,
} from './api.ts'
import { Facts } from './facts.ts'
import { RepositoryGitService } from './git-service.ts'
import { GzipIndex } from './gzip-index.ts'
import { createIngestSession, type IngestComponents } from './ingest/create.ts'
import { Listings } from './listings.ts'
import { PackMaintenance } from './maintenance.ts'
import { NarBodies } from './nar-body.ts'
import { PackageChanges, type PackageListener } from './package-changes.ts'
import { PartInflater } from './part-inflater.ts'
import { PlanFiles } from './plan-files.ts'
import { Plans } from './plans.ts'
import { QUARANTINE_BYTES, Quarantines, removeStale } from './quarantine/quarantines.ts'
import { SpliceRecords } from './splice-records.ts'
import { SpliceScanner } from './splice-scanner.ts'
import { parseStoredNarInfo } from './stored-narinfo.ts'

export interface PackageStoreOptions {
  /** Path of the repository; it is created when there is none. */
  path: string
  /** Store directory of the packages, `/nix/store` by default. */
  storeDir?: string
  /** zlib level for new objects, 1 to 9. */
  compressionLevel?: number
  /** Most threads that inflate NARs for who wants them plain; one a core unless given. */
  inflateWorkers?: number
  logger?: Logger
  /** The store is opened for one task: packs are merged at the end, and only where that is quickly done. */
  shortLived?: boolean
  /** The most bytes that packs may take in one quarantine. */
  quarantineBytes?: number
  /** Where the control socket of the process listens that opens the store; others find it in the lock. */
  controlSocket?: (ownDir: string) => string
}

/** The parts of an open store, opened and closed in this order. */
interface Parts {
  readonly repository: Repository
  readonly lock: RepositoryLock
  readonly refs: RefStore
  readonly database: ObjectDatabase
  readonly changes: PackageChanges
  readonly facts: Facts
}

/**
 * A node's packages in a Git repository (`protocol/SPEC.md` has the format). One process opens a repository at a time.
 */
export class GitPackageStore implements PackageStore, ObjectGiver {
  readonly name = 'store'
  readonly storeDir: string
  /** The repository's Git directory. */
  readonly gitDir: string
  /** Our own files in it. */
  readonly ownDir: string
  /** The repository for Git clients. */
  readonly git: GitService
  readonly #parts: Parts
  readonly #pool: DeflatePool
  readonly #level: number
  readonly #logger: Logger
  readonly #records: SpliceRecords
  readonly #scanner: SpliceScanner
  readonly #inflater: PartInflater
  readonly #bodies: NarBodies
  readonly #gzip: GzipIndex
  readonly #maintenance: PackMaintenance
  readonly #quarantines: Quarantines
  readonly #plans: Plans
  readonly #listings: Listings
  readonly #closing = new AbortController()
  readonly #background = new Set<Promise<void>>()
  #closed: Promise<void> | undefined

  private constructor(parts: Parts, options: PackageStoreOptions, spliceDir: string) {
    const { repository, database, facts, refs } = parts
    this.storeDir = options.storeDir ?? DEFAULT_STORE_DIR
    this.gitDir = repository.gitDir
    this.ownDir = repository.ownDir
    this.#parts = parts
    const { gitDir } = repository
    this.git = new RepositoryGitService({ gitDir, database, refs }, (error) =>
      this.#logger.error({ err: error }, `a pack could not be sent: ${errorMessage(error)}`),
    )
    this.#level = options.compressionLevel ?? 5
    this.#pool = new DeflatePool({ level: this.#level, behind: options.shortLived !== true })
    this.#logger = options.logger ?? silentLogger
    this.#records = new SpliceRecords(database, spliceDir)
    this.#scanner = new SpliceScanner(database, this.#records)
    this.#inflater = new PartInflater(options.inflateWorkers)
    this.#bodies = new NarBodies(database, (tree) => this.#plans.forget(tree), this.#inflater)
    const files = new PlanFiles({
      directory: join(repository.ownDir, 'plans'),
      database,
      isServable: (plan) => this.#bodies.isServable(plan),
      logger: this.#logger,
    })
    const making = {
      ...{ database, records: this.#records, files, signal: this.#closing.signal },
      onWork: (work: Promise<void>) => this.#inBackground(work),
    }
    this.#plans = new Plans(making)
    this.#listings = new Listings(making)
    this.#gzip = new GzipIndex({
      facts,
      bodies: this.#bodies,
      plan: (tree) => this.#plans.make(tree),
    })
    this.#maintenance = new PackMaintenance({
      database,
      records: this.#records,
      packDir: join(repository.objectsDir, 'pack'),
      tmpDir: repository.tmpDir,
      logger: this.#logger,
      shortLived: options.shortLived ?? false,
    })
    if (options.shortLived !== true) this.#maintenance.request()
    this.#quarantines = new Quarantines({
      ownDir: repository.ownDir,
      records: this.#records,
      maxBytes: options.quarantineBytes ?? QUARANTINE_BYTES,
      logger: this.#logger,
    })
  }

  /**
   * Opens a repository, takes its lock and recovers what a crash left.
   *
   * @throws RepositoryLockedError when another process has it open; see `Repository.open` for others
   */
  static async open(options: PackageStoreOptions): Promise<GitPackageStore> {
    const repository = await Repository.open(options.path, { create: true })
    const controlSocket = options.controlSocket?.(repository.ownDir)
    const lock = await RepositoryLock.acquire(
      repository.gitDir,
      controlSocket === undefined ? {} : { controlSocket },
    )
    const opened: Array<() => unknown> = [() => lock.release()]
    try {
      await repository.cleanTemporary()
      const spliceDir = join(repository.ownDir, 'splice')
      await mkdir(spliceDir, { recursive: true })
      await removeStale(repository.ownDir)
      const logger = options.logger ?? silentLogger
      const changes = new PackageChanges()
      const refs = await RefStore.open(repository.gitDir, {
        onUpdate: (batch) => changes.told(batch),
        onError: (error) => logger.error({ err: error }, `cannot write packed-refs: ${errorMessage(error)}`),
      })
      opened.push(() => refs.close())
      const database = await ObjectDatabase.open(repository.objectsDir, {
        tempDir: repository.tmpDir,
        // One damaged pack must not keep all other packages from being served.
        onProblem: (error) => logger.error({ err: error }, `a pack is left out: ${errorMessage(error)}`),
      })
      opened.push(() => database.close())
      const facts = new Facts(join(repository.ownDir, 'index.sqlite'))
      return new GitPackageStore({ repository, lock, refs, database, facts, changes }, options, spliceDir)
    } catch (error) {
      for (const close of opened.toReversed()) await close()
      throw error
    }
  }

  get size(): number {
    return this.#parts.refs.packageCount
  }

  has(hash: string): boolean {
    return this.#parts.refs.has(packageRef(hash, 'narinfo'))
  }

  hasClosure(hash: string): boolean {
    return this.has(hash) && this.#parts.refs.has(packageRef(hash, 'result'))
  }

  commitOf(hash: string): Oid | undefined {
    return this.has(hash) ? this.#parts.refs.get(packageRef(hash, 'result')) : undefined
  }

  /** The repository's objects, for whoever serves it to others. */
  get objects(): ObjectDatabase {
    return this.#parts.database
  }

  /**
   * Has a function told of the hash parts of packages as they are published, withdrawn or get their closure.
   *
   * @returns what ends that
   */
  onChange(listener: PackageListener): () => void {
    return this.#parts.changes.listen(listener)
  }

  announced(hash: string): RemotePackage | undefined {
    const narinfo = this.#parts.refs.get(packageRef(hash, 'narinfo'))
    if (narinfo === undefined) return undefined
    const commit = this.#parts.refs.get(packageRef(hash, 'result'))
    return { hash, narinfo, ...(commit === undefined ? {} : { commit }) }
  }

  async *pack(request: FetchRequest, options: PackOptions = {}): AsyncIterable<Uint8Array> {
    const { database } = this.#parts
    const { wants, haves, omitBlobs } = request
    const selection = await selectObjects(
      database,
      { wants, haves, ...(omitBlobs ? { filter: 'blob:none' as const } : {}) },
      options,
    )
    yield* sendPack(database, selection, options)
  }

  *entries(): Iterable<PackageEntry> {
    for (const { hash, narinfo, result } of this.#parts.refs.packages()) {
      yield { hash, narinfo, ...(result === undefined ? {} : { commit: result }) }
    }
  }

  /** Hash parts of the packages that have a commit: 20 bytes each, one after the other, many in each piece; in no order. */
  hashes(): Iterable<Uint8Array> {
    return this.#parts.refs.packageHashes()
  }

  async package(hash: string, options: AbortOptions = {}): Promise<StoredPackage | undefined> {
    const stored = await this.#stored(hash, options)
    if (stored === undefined) return undefined
    const { info, tree } = stored
    const commit = this.#parts.refs.get(packageRef(hash, 'result'))
    const gzip = this.#gzip.known(await this.#plans.get(tree, options.signal))
    if (gzip === undefined) this.#prepareInBackground(tree)
    return {
      info,
      tree,
      ...(commit === undefined ? {} : { commit }),
      ...(gzip === undefined ? {} : { gzip }),
    }
  }

  async pathInfo(path: StorePath | string, options: AbortOptions = {}): Promise<PathInfo | undefined> {
    const stored = await this.#stored(typeof path === 'string' ? path : path.hash, options)
    if (stored === undefined) return undefined
    if (path instanceof StorePath && !path.equals(stored.info.storePath)) return undefined
    return stored.info
  }

  async *nar(info: PathInfo, options: AbortOptions = {}): AsyncIterable<Uint8Array> {
    const found = await this.#stored(info.storePath.hash, options)
    const body = found === undefined ? undefined : await this.openNar(found.tree, 'none', options)
    if (body === undefined) throw new GachixError('ERR_NOT_FOUND', `${info.storePath} is not in the store`)
    yield* body.read(undefined, options)
  }

  async openNar(
    tree: string,
    encoding: NarEncoding,
    options: AbortOptions = {},
  ): Promise<NarBody | undefined> {
    if (!isOid(tree) || !this.#parts.database.has(tree)) return undefined
    const plan = await this.#plans.get(tree, options.signal)
    if (encoding === 'none') return this.#bodies.plain(plan)
    const gzip = this.#gzip.known(plan)
    return gzip === undefined ? undefined : this.#bodies.gzip(plan, gzip.crc32)
  }

  async listing(hash: string, options: AbortOptions = {}): Promise<string | undefined> {
    const found = await this.#stored(hash, options)
    if (found === undefined) return undefined
    return await this.#listings.get(found.tree, options.signal)
  }

  ingest(): IngestSession {
    return createIngestSession(this.#ingestComponents())
  }

  async quarantine(name: string): Promise<Quarantine> {
    const components = this.#ingestComponents()
    return await this.#quarantines.open(name, components, this.#maintenance.hold())
  }

  #ingestComponents(): IngestComponents {
    const { repository, database, refs, facts } = this.#parts
    return {
      pool: this.#pool,
      level: this.#level,
      tmpDir: repository.tmpDir,
      packDir: join(repository.objectsDir, 'pack'),
      spliceDir: this.#records.directory,
      database,
      isPresent: (hash) => this.hasClosure(hash),
      commitOf: (hash) => refs.get(packageRef(hash, 'result')),
      prepare: async (tree, gzip) => {
        if (gzip === undefined) await this.#gzip.work(tree, this.#closing.signal)
        else facts.setGzip(tree, gzip)
      },
      publish: async (batch) => {
        await refs.update(batch)
        this.#maintenance.request()
      },
    }
  }

  /** Stops background work, makes all refs visible to git and lets the repository go. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    await this.#maintenance.close()
    await Promise.allSettled(this.#background)
    const { refs, database, facts, lock } = this.#parts
    // The last one first, and each whatever becomes of the others.
    await using closing = new AsyncDisposableStack()
    closing.defer(() => lock.release())
    closing.defer(() => refs.close())
    closing.defer(() => database.close())
    closing.defer(() => facts.close())
    closing.defer(() => this.#records.close())
    closing.defer(() => this.#inflater.close())
    closing.defer(() => this.#pool.close())
    closing.defer(() => this.#quarantines.close())
  }

  /** What the package's narinfo blob says. */
  async #stored(hash: string, options: AbortOptions): Promise<{ info: PathInfo; tree: Oid } | undefined> {
    const { refs, database } = this.#parts
    const narinfo = refs.get(packageRef(hash, 'narinfo'))
    if (narinfo === undefined) return undefined
    const { data } = await database.read(narinfo, { ...options, maxSize: MAX_NARINFO_SIZE })
    return parseStoredNarInfo(hash, data.toString('utf8'), this.storeDir)
  }

  /** Work that is waited for when the store is closed. It must not fail. */
  #inBackground(started: Promise<void>): void {
    const work = started.finally(() => this.#background.delete(work))
    this.#background.add(work)
  }

  /** Looks at packs that something else wrote, and works out the gzip form, so that later requests get it. */
  #prepareInBackground(tree: Oid): void {
    if (this.#closing.signal.aborted) return
    const { signal } = this.#closing
    const work = this.#scanner
      .scanMissing(signal)
      .then(() => this.#gzip.work(tree, signal))
      .then(
        () => this.#maintenance.request(),
        (error: unknown) => {
          if (!signal.aborted)
            this.#logger.warn({ tree, err: error }, `cannot work out the gzip form: ${errorMessage(error)}`)
        },
      )
    this.#inBackground(work)
  }
}
