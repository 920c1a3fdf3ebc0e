import type { PathInfo } from '../../nix/path-info.ts'
import { AbortedError } from '../../util/errors.ts'
import type { IngestOptions, IngestOutcome, IngestSession } from '../api.ts'
import type { Lane } from './lane.ts'
import type { PendingPackage, Publisher } from './publisher.ts'

export interface SessionOptions {
  lanes: readonly Lane[]
  publisher: Publisher
  /** Whether a package is published with its closure. */
  isPresent: (hash: string) => boolean
  bytesWritten: () => number
}

/** Spreads packages over the lanes, and has what they stored published in an order that keeps closures complete. */
export class PackIngestSession implements IngestSession {
  readonly #options: SessionOptions
  readonly #idle: Lane[]
  readonly #waiting: Array<(lane: Lane) => void> = []
  readonly #underWay = new Map<string, Promise<IngestOutcome>>()
  /** Packages whose packs are not complete. */
  readonly #unsettled = new Set<Promise<void>>()
  #publishing: Promise<void> = Promise.resolve()
  #publishQueued = false
  /** Why packages that were stored cannot be published: a pack could not be completed, or publishing failed. */
  #failure: unknown
  #ended = false
  #aborted: AbortedError | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    this.#idle = [...options.lanes]
  }

  get bytesWritten(): number {
    return this.#options.bytesWritten()
  }

  async add(
    info: PathInfo,
    nar: AsyncIterable<Uint8Array>,
    options: IngestOptions = {},
  ): Promise<IngestOutcome> {
    if (this.#ended) throw this.#aborted ?? new AbortedError('the ingest session has ended')
    if (this.#failure !== undefined) throw this.#failure
    const { hash } = info.storePath
    if (this.#options.isPresent(hash)) return 'present'
    const before = this.#underWay.get(hash)
    if (before !== undefined) return await before.then(() => 'present' as const)
    const adding = this.#add(info, nar, options)
    this.#underWay.set(hash, adding)
    try {
      return await adding
    } catch (error) {
      this.#underWay.delete(hash)
      throw error
    }
  }

  async finish(): Promise<void> {
    this.#ended = true
    await Promise.allSettled(this.#underWay.values())
    for (const lane of this.#options.lanes) {
      // One lane's failure must not keep the packages of the others from being published.
      await lane.complete().catch((error: unknown) => {
        this.#failure ??= error
      })
    }
    await Promise.all(this.#unsettled)
    await this.#publish()
    if (this.#aborted !== undefined) throw this.#aborted
    if (this.#failure !== undefined) throw this.#failure
    this.#options.publisher.checkNothingLeft()
  }

  async abort(): Promise<void> {
    this.#ended = true
    const reason = new AbortedError('the ingest session was given up')
    this.#aborted ??= reason
    await Promise.all(this.#options.lanes.map((lane) => lane.abort(reason)))
    await Promise.allSettled([...this.#underWay.values(), this.#publishing])
  }

  async #add(info: PathInfo, nar: AsyncIterable<Uint8Array>, options: IngestOptions): Promise<IngestOutcome> {
    const lane = this.#idle.pop() ?? (await new Promise<Lane>((resolve) => this.#waiting.push(resolve)))
    try {
      options.signal?.throwIfAborted()
      const { tree, durable } = await lane.store(info, nar, options.signal)
      const pending: PendingPackage = { info, tree, single: options.single === true, durable: false }
      this.#options.publisher.add(pending)
      const settled = durable
        .then(
          () => {
            pending.durable = true
            void this.#publish()
          },
          (error: unknown) => {
            this.#options.publisher.remove(pending)
            this.#failure ??= error
          },
        )
        .finally(() => this.#unsettled.delete(settled))
      this.#unsettled.add(settled)
      return 'added'
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#idle.push(lane)
      else next(lane)
    }
  }

  /** Has all that is ready published, after what is being published now. */
  #publish(): Promise<void> {
    // A turn that has not begun will see what has become ready since.
    if (this.#publishQueued) return this.#publishing
    this.#publishQueued = true
    this.#publishing = this.#publishing.then(async () => {
      this.#publishQueued = false
      if (this.#aborted !== undefined) return
      try {
        await this.#options.publisher.publishReady()
      } catch (error) {
        this.#failure ??= error
      }
    })
    return this.#publishing
  }
}
