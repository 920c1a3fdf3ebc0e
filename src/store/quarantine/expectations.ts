import type { ObjectDatabase } from '../../git/object-database.ts'
import { OID_BYTES, type Oid, oidsToBytes } from '../../git/oid.ts'
import { ownCopy } from '../../util/own-copy.ts'
import type { AnnouncedContents } from '../api.ts'
import { walkNar } from '../nar-walk.ts'
import type { HashedNar } from './receiving/messages.ts'
import { RecipeBuilder, type RecipeDraft } from './receiving/nar-recipe.ts'
import type { ReceiverThread } from './receiving/thread.ts'

/** Bytes of framing of the packages that are expected together; NARs beyond are read from the packs when all has come. */
const FRAMING_BYTES = 16 * 1024 * 1024
/** Blobs that are here already are read up to this size, and so many bytes of them together. */
const KNOWN_BLOB = 64 * 1024
const KNOWN_BYTES = 1024 * 1024

/**
 * Bytes of recipes that the thread has together: those of some batches. What pulls that have failed left of them would otherwise stay as long as others go
 * on. Those that wait longest are forgotten, and their NARs read when all has come.
 */
const RECIPE_BYTES = 64 * 1024 * 1024

interface Expected {
  readonly recipe: number
  readonly bytes: number
}

/** Packages whose blobs are coming, and what is known of their NARs by that. */
export class Expectations {
  readonly #database: ObjectDatabase
  readonly #receiver: ReceiverThread
  readonly #most: number
  /** Recipes by the trees that they are of, in the order in which they were made. */
  readonly #expected = new Map<Oid, Expected>()
  /** Bytes of all of them. */
  #bytes = 0

  constructor(database: ObjectDatabase, receiver: ReceiverThread, most = RECIPE_BYTES) {
    this.#database = database
    this.#receiver = receiver
    this.#most = most
  }

  /** See `Quarantine.expect`. */
  async expect(packages: readonly AnnouncedContents[], signal: AbortSignal | undefined): Promise<Oid[][]> {
    const missing = new Set<Oid>()
    const lists: Oid[][] = []
    const drafts = new Map<Oid, RecipeDraft>()
    let framing = FRAMING_BYTES
    for (const { info, tree } of packages) {
      const builder = new RecipeBuilder(Math.min(framing, info.narSize))
      await walkNar(this.#database, tree, builder, signal, true)
      const own = [...builder.blobs].filter((oid) => !missing.has(oid) && !this.#database.has(oid))
      for (const oid of own) missing.add(oid)
      lists.push(own)
      const draft = builder.finish()
      if (draft === undefined || !draft.oids.some((oid) => missing.has(oid))) continue
      framing -= draft.framing.length
      drafts.set(tree, draft)
    }
    await this.#hand(drafts, missing, signal)
    return lists
  }

  /** What is known of a tree's NAR, all of whose blobs have come in its order. */
  take(tree: Oid): HashedNar | undefined {
    const expected = this.#expected.get(tree)
    if (expected === undefined) return undefined
    this.#expected.delete(tree)
    this.#bytes -= expected.bytes
    return this.#receiver.take(expected.recipe)
  }

  /** Forgets all. */
  close(): void {
    for (const tree of [...this.#expected.keys()]) this.take(tree)
  }

  async #hand(
    drafts: ReadonlyMap<Oid, RecipeDraft>,
    missing: ReadonlySet<Oid>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const repeated = repeatedIn(drafts.values())
    let left = KNOWN_BYTES
    for (const [tree, { framing, ends, oids }] of drafts) {
      const known = await this.#contentsOf(oids, missing, left, signal)
      if (known === undefined) continue
      let bytes = framing.length + ends.byteLength + oids.length * OID_BYTES
      for (const content of known.values()) {
        left -= content.length
        bytes += content.length
      }
      const shared = new Set<number>()
      for (let number = 0; number < oids.length; number++) if (repeated.has(oids[number]!)) shared.add(number)
      this.take(tree)
      const recipe = { framing, ends, oids: oidsToBytes(oids), known, shared }
      this.#expected.set(tree, { recipe: this.#receiver.expect(recipe), bytes })
      this.#bytes += bytes
      this.#forgetOldest()
    }
  }

  #forgetOldest(): void {
    for (const tree of this.#expected.keys()) {
      if (this.#bytes <= this.#most) return
      this.take(tree)
    }
  }

  /** The contents of blobs that do not come because they are here; `undefined` when that is too much. */
  async #contentsOf(
    oids: readonly Oid[],
    missing: ReadonlySet<Oid>,
    most: number,
    signal: AbortSignal | undefined,
  ): Promise<Map<number, Buffer> | undefined> {
    const known = new Map<number, Buffer>()
    let left = most
    for (const [number, oid] of oids.entries()) {
      if (missing.has(oid)) continue
      const { size } = await this.#database.header(oid)
      left -= size
      if (size > KNOWN_BLOB || left < 0) return undefined
      const { data } = await this.#database.read(oid, { maxSize: KNOWN_BLOB, ...(signal && { signal }) })
      known.set(number, ownCopy([data]))
    }
    return known
  }
}

/** The blobs that occur more than once. */
function repeatedIn(drafts: Iterable<RecipeDraft>): Set<Oid> {
  const seen = new Set<Oid>()
  const repeated = new Set<Oid>()
  for (const { oids } of drafts) {
    for (const oid of oids) {
      if (seen.has(oid)) repeated.add(oid)
      seen.add(oid)
    }
  }
  return repeated
}
