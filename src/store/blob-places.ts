import type { ObjectDatabase } from '../git/object-database.ts'
import { MAX_ENTRY_HEADER_BYTES } from '../git/pack/format.ts'
import type { Pack } from '../git/pack/pack.ts'
import { BLOB_KIND, type NarPlan } from './plan.ts'

const UNKNOWN = -1
const NOWHERE = -2

/**
 * Where the blobs of a plan lie now. A blob is looked up when it is first read, and again after the packs have changed: they may be
 * merged, repacked and removed at any time.
 */
export class BlobPlaces {
  readonly #database: ObjectDatabase
  readonly #plan: NarPlan
  #generation: number
  #packs: Pack[] = []
  /** Index in `#packs` for each blob. */
  readonly #packOf: Int32Array
  readonly #offsets: Float64Array

  constructor(database: ObjectDatabase, plan: NarPlan) {
    this.#database = database
    this.#plan = plan
    this.#generation = database.generation
    this.#packOf = new Int32Array(plan.count).fill(UNKNOWN)
    this.#offsets = new Float64Array(plan.count)
  }

  /**
   * The pack that has a spliceable blob to the byte as the plan has it; `undefined` when none has.
   *
   * @throws PackGoneError when another process has removed the pack
   */
  find(file: number): Pack | undefined {
    if (this.#generation !== this.#database.generation) this.forget()
    if (this.#packOf[file] === UNKNOWN) this.#look(file)
    return this.#packs[this.#packOf[file]!]
  }

  /** Where in the pack that was found the blob's zlib stream begins. */
  offset(file: number): number {
    return this.#offsets[file]!
  }

  /** Looks everything up again. */
  forget(): void {
    this.#generation = this.#database.generation
    this.#packs = []
    this.#packOf.fill(UNKNOWN)
  }

  #look(file: number): void {
    const { deflatedLengths, kinds } = this.#plan.parts
    this.#packOf[file] = NOWHERE
    if (kinds[file] === BLOB_KIND.stored) return
    const oid = this.#plan.oid(file)
    const location = this.#database.locate(oid)
    if (location?.kind === 'pack' && this.#isEntryOf(file, location.pack, location.position)) {
      // The entry is the one that the plan was made from, so its header need not be read again.
      const { pack, position, offset } = location
      this.#set(file, pack, offset + pack.index.lengthAt(position) - deflatedLengths[file]!)
      return
    }
    const deflated = this.#database.deflated(oid)
    if (deflated !== undefined && this.#isEntryOf(file, deflated.pack, deflated.position)) {
      this.#set(file, deflated.pack, deflated.dataOffset)
    }
  }

  #set(file: number, pack: Pack, offset: number): void {
    let index = this.#packs.lastIndexOf(pack)
    if (index < 0) index = this.#packs.push(pack) - 1
    this.#packOf[file] = index
    this.#offsets[file] = offset
  }

  /** Whether a pack's entry is, to the byte, the one that the plan has for a file. */
  #isEntryOf(file: number, pack: Pack, position: number): boolean {
    const { deflatedLengths, entryCrcs } = this.#plan.parts
    const header = pack.index.lengthAt(position) - deflatedLengths[file]!
    return pack.index.crc32At(position) === entryCrcs[file] && header > 0 && header <= MAX_ENTRY_HEADER_BYTES
  }
}
