import type { ObjectDatabase } from '../git/object-database.ts'
import type { Oid } from '../git/oid.ts'
import { listTree } from './listing.ts'
import type { PlanFiles } from './plan-files.ts'
import type { SpliceRecords } from './splice-records.ts'

export interface ListingsComponents {
  readonly database: ObjectDatabase
  readonly records: SpliceRecords
  readonly files: PlanFiles
  /** Ends the making of listings. */
  readonly signal: AbortSignal
  /** Told of work that has to end before the store is closed. */
  readonly onWork: (work: Promise<void>) => void
}

/** The `.ls` listings of packages: from their files, else made. */
export class Listings {
  readonly #components: ListingsComponents
  /** Listings that are being made or written to their files. */
  readonly #making = new Map<Oid, Promise<string>>()

  constructor(components: ListingsComponents) {
    this.#components = components
  }

  /** The listing of a tree, as JSON text. @throws what `listTree` throws */
  async get(tree: Oid, signal?: AbortSignal): Promise<string> {
    const making = this.#making.get(tree)
    // It is made to its end, whoever leaves.
    const text = await (making ?? this.#keptOrMade(tree))
    signal?.throwIfAborted()
    return text
  }

  async #keptOrMade(tree: Oid): Promise<string> {
    const { database, records, files, signal, onWork } = this.#components
    const kept = await files.listing(tree)
    if (kept !== undefined) return kept
    const earlier = this.#making.get(tree)
    if (earlier !== undefined) return await earlier
    const making = listTree(database, records, tree, signal)
    this.#making.set(tree, making)
    const keeping = making.then((text) => files.keepListing(tree, text))
    onWork(keeping.catch(() => {}).finally(() => this.#making.delete(tree)))
    return await making
  }
}
