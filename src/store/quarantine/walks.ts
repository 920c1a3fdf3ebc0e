import type { ObjectDatabase } from '../../git/object-database.ts'
import type { Oid } from '../../git/oid.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { NarMismatchError } from '../ingest/errors.ts'
import { type NarVisitor, TreeNotPackageError, walkNar } from '../nar-walk.ts'
import type { NarPlan } from '../plan.ts'
import { PlanBuilder } from '../plan-builder.ts'
import type { SpliceRecords } from '../splice-records.ts'

/** Files and links that are looked at in one tree: what a package of this many takes in memory is still bearable. */
const MAX_ENTRIES = 4_000_000

/** A visitor that is only told of the ids of what a tree holds, each once. */
abstract class ObjectVisitor implements NarVisitor {
  readonly #tree: Oid
  readonly #seen = new Set<Oid>()
  readonly #trees = new Set<Oid>()

  constructor(tree: Oid) {
    this.#tree = tree
  }

  /** A blob that was not there before. */
  protected abstract blob(oid: Oid): void
  /** A tree that was not there before. */
  protected abstract subtree(oid: Oid): void

  directoryStart(): void {}

  entry(): void {}

  directoryEnd(): void {}

  symlink(): void {}

  file(_executable: boolean, oid: Oid): void {
    this.#once(oid, this.#seen, () => this.blob(oid))
  }

  follows(oid: Oid): boolean {
    this.#once(oid, this.#seen, () => this.blob(oid))
    return false
  }

  /** A tree that occurs many times is looked at once, so that no nesting of trees makes the walk endless. */
  enters(oid: Oid): boolean {
    return this.#once(oid, this.#trees, () => this.subtree(oid))
  }

  #once(oid: Oid, seen: Set<Oid>, tell: () => void): boolean {
    if (seen.has(oid)) return false
    if (this.#seen.size + this.#trees.size >= MAX_ENTRIES)
      throw new TreeNotPackageError(this.#tree, `it has more than ${MAX_ENTRIES} objects`)
    seen.add(oid)
    tell()
    return true
  }
}

class MissingBlobs extends ObjectVisitor {
  readonly missing: Oid[] = []
  readonly #database: ObjectDatabase

  constructor(database: ObjectDatabase, tree: Oid) {
    super(tree)
    this.#database = database
  }

  protected override blob(oid: Oid): void {
    if (!this.#database.has(oid)) this.missing.push(oid)
  }

  protected override subtree(): void {}
}

/**
 * The blobs below a tree that are not there, each once.
 *
 * @throws TreeNotPackageError when the tree cannot be a package's contents, ObjectNotFoundError when a tree below it is
 *   missing
 */
export async function missingBlobs(
  database: ObjectDatabase,
  tree: Oid,
  signal?: AbortSignal,
): Promise<Oid[]> {
  const visitor = new MissingBlobs(database, tree)
  await walkNar(database, tree, visitor, signal, true)
  return visitor.missing
}

class Contents extends ObjectVisitor {
  readonly blobs: Oid[] = []
  readonly trees: Oid[] = []

  protected override blob(oid: Oid): void {
    this.blobs.push(oid)
  }

  protected override subtree(oid: Oid): void {
    this.trees.push(oid)
  }
}

/** All objects of a package, each once: its blobs in NAR order, then its trees. */
export async function packageObjects(
  database: ObjectDatabase,
  tree: Oid,
  signal?: AbortSignal,
): Promise<Oid[]> {
  const visitor = new Contents(tree)
  await walkNar(database, tree, visitor, signal, true)
  return [...visitor.blobs, ...visitor.trees, tree]
}

/** A plan whose making ends as soon as the NAR turns out to be larger than it should be, with the objects it is made of. */
class BoundedPlan extends PlanBuilder {
  readonly #info: PathInfo
  readonly #blobs = new Set<Oid>()
  readonly #trees = new Set<Oid>()

  constructor(database: ObjectDatabase, records: SpliceRecords, tree: Oid, info: PathInfo) {
    super(database, records, tree)
    this.#info = info
  }

  /** As `packageObjects` gives them, without the root. */
  get objects(): Oid[] {
    return [...this.#blobs, ...this.#trees]
  }

  override entry(name: Buffer): void {
    super.entry(name)
    const { storePath, narSize } = this.#info
    if (this.narSize > narSize)
      throw new NarMismatchError(storePath, 'a size of', String(narSize), `more than ${narSize}`)
  }

  override file(executable: boolean, oid: Oid): void | Promise<void> {
    this.#blobs.add(oid)
    return super.file(executable, oid)
  }

  follows(oid: Oid): boolean {
    this.#blobs.add(oid)
    return true
  }

  enters(oid: Oid): boolean {
    this.#trees.add(oid)
    return true
  }
}

/**
 * The serving plan of a package that is to be proven, and all its objects as `packageObjects` gives them: its tree is as
 * gachix writes it, and its NAR as long as it should be.
 *
 * @throws TreeNotPackageError, NarMismatchError
 */
export async function planOf(
  database: ObjectDatabase,
  records: SpliceRecords,
  tree: Oid,
  info: PathInfo,
  signal?: AbortSignal,
): Promise<{ plan: NarPlan; objects: Oid[] }> {
  const builder = new BoundedPlan(database, records, tree, info)
  await walkNar(database, tree, builder, signal, true)
  const plan = builder.finish()
  if (plan.narSize !== info.narSize)
    throw new NarMismatchError(info.storePath, 'a size of', String(info.narSize), String(plan.narSize))
  return { plan, objects: [...builder.objects, tree] }
}
