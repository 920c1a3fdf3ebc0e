import type { Oid } from '../../git/oid.ts'
import type { PackWriter } from '../../git/pack/writer.ts'
import type { RefBatch } from '../../git/refs/journal-format.ts'
import { packageRef } from '../../git/refs/package-refs.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { StorePath } from '../../nix/store-path.ts'
import type { StoredGzipFacts } from '../facts.ts'
import { packageCommit } from '../package-commit.ts'
import { storedNarInfo } from '../stored-narinfo.ts'
import { MissingReferenceError } from './errors.ts'

/** A package whose contents are written and verified, and which waits to be published. */
export interface PendingPackage {
  readonly info: PathInfo
  readonly tree: Oid
  /** Publish without its references, see `IngestOptions.single`. */
  readonly single: boolean
  /** Whether its contents are in a completed pack. */
  durable: boolean
  /** Facts about its gzip form, where whoever stored it knows them. */
  readonly gzip?: StoredGzipFacts
}

/** The parts of the store that publishing needs. */
export interface PublisherOptions {
  /** The commit of a published package. */
  commitOf: (hash: string) => Oid | undefined
  /** A new, empty pack for commits and narinfos. */
  openPack: () => Promise<PackWriter>
  /** Completes a pack and makes its objects known. */
  completePack: (writer: PackWriter) => Promise<void>
  /** Keeps the facts that readers of the package will ask for, and works them out where they are not known. */
  prepare: (tree: Oid, gzip: StoredGzipFacts | undefined) => Promise<void>
  /** Makes refs visible and durable, all or none. */
  publish: (batch: RefBatch) => Promise<void>
}

/**
 * Publishes packages in an order that keeps every published closure complete: a package follows what it refers to, in
 * the same atomic batch of refs at the earliest.
 */
export class Publisher {
  readonly #options: PublisherOptions
  readonly #pending = new Map<string, PendingPackage>()

  constructor(options: PublisherOptions) {
    this.#options = options
  }

  add(pending: PendingPackage): void {
    this.#pending.set(pending.info.storePath.hash, pending)
  }

  remove(pending: PendingPackage): void {
    this.#pending.delete(pending.info.storePath.hash)
  }

  /** Publishes all pending packages that are durable and whose references are published or ready as well. */
  async publishReady(): Promise<void> {
    const ready = this.#ready()
    if (ready.length === 0) return
    const writer = await this.#options.openPack()
    const commits = new Map<string, Oid>()
    const set: Array<[string, Oid]> = []
    const deleted: string[] = []
    try {
      for (const { info, tree } of ready) {
        const { hash } = info.storePath
        const parents = dependencies(info).map(
          (reference) => commits.get(reference.hash) ?? this.#options.commitOf(reference.hash),
        )
        if (parents.every((parent) => parent !== undefined)) {
          const commit = writer.object('commit', packageCommit(info.storePath, tree, parents))
          commits.set(hash, commit)
          set.push([packageRef(hash, 'result'), commit])
          // It may have been added without its references before.
          deleted.push(packageRef(hash, 'tree'))
        } else {
          // Without commits for its references the package can have none; the ref keeps its contents from git's gc.
          set.push([packageRef(hash, 'tree'), tree])
        }
        set.push([packageRef(hash, 'narinfo'), writer.object('blob', storedNarInfo(info, tree))])
        await writer.ready()
      }
      await this.#options.completePack(writer)
    } catch (error) {
      await writer.abort()
      throw error
    }
    for (const { tree, gzip } of ready) await this.#options.prepare(tree, gzip)
    await this.#options.publish({ set, delete: deleted })
    for (const pending of ready) this.remove(pending)
  }

  /** @throws MissingReferenceError when a package waits that nothing can complete any more */
  checkNothingLeft(): void {
    for (const { info } of this.#pending.values()) {
      const missing = dependencies(info).filter(
        ({ hash }) => this.#options.commitOf(hash) === undefined && !this.#pending.has(hash),
      )
      if (missing.length > 0) throw new MissingReferenceError(info.storePath, missing)
    }
    for (const { info } of this.#pending.values())
      throw new MissingReferenceError(info.storePath, dependencies(info))
  }

  /** What can be published now, references first. */
  #ready(): PendingPackage[] {
    const ready: PendingPackage[] = []
    /** Per package, those that wait for its commit. */
    const dependents = new Map<string, PendingPackage[]>()
    /** Per package, how many commits it waits for; one that can never come counts too. */
    const missing = new Map<PendingPackage, number>()
    const durable = [...this.#pending.values()].filter((pending) => pending.durable)
    for (const pending of durable) {
      const wanted = dependencies(pending.info).filter(
        ({ hash }) => this.#options.commitOf(hash) === undefined,
      )
      missing.set(pending, wanted.length)
      if (wanted.length === 0) ready.push(pending)
      for (const { hash } of wanted) {
        const waiting = dependents.get(hash)
        if (waiting === undefined) dependents.set(hash, [pending])
        else waiting.push(pending)
      }
    }
    // What has just become ready makes others ready.
    for (let i = 0; i < ready.length; i++) {
      for (const dependent of dependents.get(ready[i]!.info.storePath.hash) ?? []) {
        const left = missing.get(dependent)! - 1
        missing.set(dependent, left)
        if (left === 0) ready.push(dependent)
      }
    }
    const alone = durable.filter((pending) => pending.single && missing.get(pending)! > 0)
    return [...ready, ...alone]
  }
}

function dependencies(info: PathInfo): StorePath[] {
  return info.references.filter(({ hash }) => hash !== info.storePath.hash)
}
