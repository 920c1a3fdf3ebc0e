import { createHash } from 'node:crypto'
import type { ObjectDatabase } from '../git/object-database.ts'
import type { Oid } from '../git/oid.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import type { ByteRange, NarBody } from './api.ts'
import { BlobPlaces } from './blob-places.ts'
import { BodyWriter, createBodyChunks } from './body-writer.ts'
import { gzipBody } from './gzip-body.ts'
import { PackGather } from './pack-gather.ts'
import { plainBody } from './plain-body.ts'
import type { NarPlan } from './plan.ts'
import type { Reading } from './reading.ts'

/** Makes NAR bodies from plans. */
export class NarBodies {
  readonly #database: ObjectDatabase
  readonly #onStale: (tree: Oid) => void
  readonly #chunks = createBodyChunks()
  readonly #places = new WeakMap<NarPlan, BlobPlaces>()

  /** @param onStale told of a tree whose plan no longer describes the packs */
  constructor(database: ObjectDatabase, onStale: (tree: Oid) => void) {
    this.#database = database
    this.#onStale = onStale
  }

  /** The NAR as it is. */
  plain(plan: NarPlan): NarBody {
    // A tree has one NAR, but naming it after the tree would not change if we ever wrote NARs in another way.
    const id = createHash('sha256').update(`nar ${plan.tree}`).digest('hex').slice(0, 32)
    return { encoding: 'none', id, size: plan.narSize, ...this.#body(plan, plan.narSize, plainBody) }
  }

  /** The NAR as one gzip member, put together from the packs' deflate streams. `crc32` is that of the NAR. */
  gzip(plan: NarPlan, crc32: number): NarBody {
    const body = this.#body(plan, plan.gzipSize, (reading) => gzipBody(reading, crc32))
    return { encoding: 'gzip', id: plan.gzipId, size: plan.gzipSize, ...body }
  }

  #body(
    plan: NarPlan,
    size: number,
    produce: (reading: Reading) => AsyncGenerator<Buffer, void>,
  ): Required<Pick<NarBody, 'read' | 'recycle'>> {
    const chunks = this.#chunks
    return {
      read: (range: ByteRange = { start: 0, end: size }, { signal }: AbortOptions = {}) => {
        if (range.start < 0 || range.start > range.end || range.end > size) {
          throw new RangeError(`no range ${range.start}-${range.end} in ${size} bytes`)
        }
        return produce({
          database: this.#database,
          plan,
          places: this.#placesOf(plan),
          out: new BodyWriter(chunks, range.start, range.end),
          gather: new PackGather(chunks),
          signal,
          onStale: () => this.#onStale(plan.tree),
        })
      },
      recycle: (chunk) => chunks.give(chunk),
    }
  }

  #placesOf(plan: NarPlan): BlobPlaces {
    let places = this.#places.get(plan)
    if (places === undefined) {
      places = new BlobPlaces(this.#database, plan)
      this.#places.set(plan, places)
    }
    return places
  }
}
