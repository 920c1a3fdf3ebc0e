import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Oid } from '../git/oid.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import { Turns } from '../util/turns.ts'
import type { NarBody } from './api.ts'
import type { Facts, StoredGzipFacts } from './facts.ts'
import type { NarBodies } from './nar-body.ts'
import type { NarPlan } from './plan.ts'

/** The parts of the store that the index needs. */
export interface GzipIndexOptions {
  facts: Facts
  bodies: NarBodies
  /** A plan of the packs as they are now. */
  plan: (tree: Oid) => Promise<NarPlan>
}

/**
 * Works out and keeps the facts about the gzip form of NARs that only reading it all can tell: its SHA-256, and the
 * NAR's CRC-32 where a blob's own is not on record.
 */
export class GzipIndex {
  readonly #options: GzipIndexOptions
  /** What was found for plans that are in use: a request is not to ask the database again. */
  readonly #known = new WeakMap<NarPlan, StoredGzipFacts>()
  readonly #running = new Map<Oid, Promise<StoredGzipFacts | undefined>>()

  constructor(options: GzipIndexOptions) {
    this.#options = options
  }

  /** What is on record and still true of the packs as they are. */
  known(plan: NarPlan): StoredGzipFacts | undefined {
    const before = this.#known.get(plan)
    if (before !== undefined) return before
    const facts = this.#options.facts.gzip(plan.tree)
    if (facts === undefined || facts.id !== plan.gzipId || facts.size !== plan.gzipSize) return undefined
    this.#known.set(plan, facts)
    return facts
  }

  /**
   * The facts of a tree, worked out if they are not known. `undefined` when the gzip form would be no smaller than the
   * NAR, as with packages whose blobs are all loose or deltas: it is not offered then.
   */
  async work(tree: Oid, signal?: AbortSignal): Promise<StoredGzipFacts | undefined> {
    const running = this.#running.get(tree)
    if (running !== undefined) return await running
    const work = this.#work(tree, signal)
    this.#running.set(tree, work)
    try {
      return await work
    } finally {
      this.#running.delete(tree)
    }
  }

  async #work(tree: Oid, signal?: AbortSignal): Promise<StoredGzipFacts | undefined> {
    const plan = await this.#options.plan(tree)
    const known = this.known(plan)
    if (known !== undefined) return known
    if (!isWorthwhile(plan)) return undefined
    const options = signal === undefined ? {} : { signal }
    const crc = plan.crc32 ?? (await checksum(this.#options.bodies.plain(plan), options))
    const hash = createHash('sha256')
    const body = this.#options.bodies.gzip(plan, crc)
    const turns = new Turns(signal)
    for await (const chunk of body.read(undefined, options)) {
      await turns.next()
      hash.update(chunk)
      body.recycle?.(chunk)
    }
    const facts = { id: plan.gzipId, size: plan.gzipSize, crc32: crc, sha256: hash.digest() }
    this.#options.facts.setGzip(tree, facts)
    return facts
  }
}

/** Tiny packages are always offered, or an empty file would come with another compression than its neighbours. */
function isWorthwhile(plan: NarPlan): boolean {
  return plan.gzipSize < plan.narSize || plan.spliced
}

async function checksum(body: NarBody, options: AbortOptions): Promise<number> {
  let crc = 0
  const turns = new Turns(options.signal)
  for await (const chunk of body.read(undefined, options)) {
    await turns.next()
    crc = crc32(chunk, crc)
    body.recycle?.(chunk)
  }
  return crc
}
