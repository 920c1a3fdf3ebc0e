import { createHash } from 'node:crypto'
import type { ObjectDatabase } from '../git/object-database.ts'
import type { Oid } from '../git/oid.ts'
import { PackReads } from '../git/pack/pack-reads.ts'
import { Turns } from '../util/turns.ts'
import type { ByteRange, NarBody } from './api.ts'
import { BlobPlaces } from './blob-places.ts'
import { BodyWriter, createBodyChunks } from './body-writer.ts'
import { gzipBody } from './gzip-body.ts'
import { PackGather } from './pack-gather.ts'
import type { PartInflater } from './part-inflater.ts'
import { plainBody } from './plain-body.ts'
import type { NarPlan } from './plan.ts'
import type { Reading } from './reading.ts'

/** Makes NAR bodies from plans. */
export class NarBodies {
  readonly #database: ObjectDatabase
  readonly #onStale: (tree: Oid) => void
  readonly #inflater: PartInflater | undefined
  readonly #chunks = createBodyChunks()
  readonly #reads = new PackReads()
  #places = new WeakMap<NarPlan, BlobPlaces>()
  /** Of the packs that `#places` know. */
  #generation: number

  /**
   * @param onStale told of a tree whose plan no longer describes the packs
   * @param inflater inflates parts of plain NARs on several threads; without it each NAR is inflated as one stream
   */
  constructor(database: ObjectDatabase, onStale: (tree: Oid) => void, inflater?: PartInflater) {
    this.#database = database
    this.#generation = database.generation
    this.#onStale = onStale
    this.#inflater = inflater
  }

  /** Whether a pack has every blob of a plan as the plan has it. What is looked up for that need not be when the NAR is read. */
  async isServable(plan: NarPlan): Promise<boolean> {
    const places = this.#placesOf(plan)
    const turns = new Turns()
    for (let file = 0; file < plan.count; file++) {
      const turn = turns.next()
      if (turn !== undefined) await turn
      if (places.find(file) === undefined) return false
    }
    return true
  }

  /** The NAR as it is. */
  plain(plan: NarPlan): NarBody {
    // A tree has one NAR, but naming it after the tree would not change if we ever wrote NARs in another way.
    const id = createHash('sha256').update(`nar ${plan.tree}`).digest('hex').slice(0, 32)
    return {
      encoding: 'none',
      id,
      size: plan.narSize,
      read: (range = whole(plan.narSize), { signal } = {}) => {
        checkRange(range, plan.narSize)
        const nar = new BodyWriter(this.#chunks, range.start, range.end)
        const reading = (out: BodyWriter) => this.#reading(plan, out, signal)
        return plainBody(
          { plan, signal, reading, inflater: this.#inflater, chunks: this.#chunks },
          range,
          nar,
        )
      },
      recycle: (chunk) => this.#chunks.give(chunk),
    }
  }

  /** The NAR as one gzip member, put together from the packs' deflate streams. `crc32` is that of the NAR. */
  gzip(plan: NarPlan, crc32: number): NarBody {
    return {
      encoding: 'gzip',
      id: plan.gzipId,
      size: plan.gzipSize,
      read: (range = whole(plan.gzipSize), { signal } = {}) => {
        checkRange(range, plan.gzipSize)
        const out = new BodyWriter(this.#chunks, range.start, range.end)
        return gzipBody(this.#reading(plan, out, signal), crc32)
      },
      recycle: (chunk) => this.#chunks.give(chunk),
    }
  }

  #reading(plan: NarPlan, out: BodyWriter, signal: AbortSignal | undefined): Reading {
    return {
      database: this.#database,
      plan,
      places: this.#placesOf(plan),
      out,
      gather: new PackGather(this.#chunks, this.#reads),
      signal,
      onStale: () => this.#onStale(plan.tree),
    }
  }

  #placesOf(plan: NarPlan): BlobPlaces {
    const { generation } = this.#database
    if (generation !== this.#generation) {
      // The places of packages that nobody asks for would keep packs that are gone, with their indexes.
      this.#places = new WeakMap()
      this.#generation = generation
    }
    let places = this.#places.get(plan)
    if (places === undefined) {
      places = new BlobPlaces(this.#database, plan)
      this.#places.set(plan, places)
    }
    return places
  }
}

function whole(size: number): ByteRange {
  return { start: 0, end: size }
}

function checkRange({ start, end }: ByteRange, size: number): void {
  if (start < 0 || start > end || end > size)
    throw new RangeError(`no range ${start}-${end} in ${size} bytes`)
}
