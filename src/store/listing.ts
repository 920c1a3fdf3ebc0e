import type { ObjectDatabase } from '../git/object-database.ts'
import type { Oid } from '../git/oid.ts'
import { ListingBuilder } from '../nix/listing.ts'
import { type NarVisitor, walkNar } from './nar-walk.ts'
import { PlanBuilder } from './plan-builder.ts'
import type { SpliceRecords } from './splice-records.ts'

/** The `.ls` listing (version 1) of a package's tree, as JSON text. */
export async function listTree(
  database: ObjectDatabase,
  records: SpliceRecords,
  tree: Oid,
  signal?: AbortSignal,
): Promise<string> {
  const listing = new ListingBuilder()
  await walkNar(database, tree, new ListingVisitor(new PlanBuilder(database, records, tree), listing), signal)
  return JSON.stringify(listing.toJSON())
}

/** Tells a listing of every node, with the offsets that the plan has for files. */
class ListingVisitor implements NarVisitor {
  readonly #plan: PlanBuilder
  readonly #listing: ListingBuilder

  constructor(plan: PlanBuilder, listing: ListingBuilder) {
    this.#plan = plan
    this.#listing = listing
  }

  directoryStart(): void {
    this.#plan.directoryStart()
    this.#listing.directoryStart()
  }

  entry(name: Buffer): void {
    this.#plan.entry(name)
    this.#listing.entry(name)
  }

  directoryEnd(): void {
    this.#plan.directoryEnd()
    this.#listing.directoryEnd()
  }

  symlink(target: Buffer): void {
    this.#plan.symlink(target)
    this.#listing.symlink(target)
  }

  async file(executable: boolean, oid: Oid): Promise<void> {
    await this.#plan.file(executable, oid)
    const { size, offset } = this.#plan.lastFile
    this.#listing.fileStart(executable, size, offset)
    this.#listing.fileEnd()
  }
}
