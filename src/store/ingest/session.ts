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
  #publishing: Promise<void> = Promise.resolve()
  #publishError: unknown
  #ended = false

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
    if (this.#ended) throw new AbortedError('the ingest session has ended')
    if (this.#publishError !== undefined) throw this.#publishError
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
    for (const lane of this.#options.lanes) await lane.complete()
    await this.#publish()
    if (this.#publishError !== undefined) throw this.#publishError
    this.#options.publisher.checkNothingLeft()
  }

  async abort(): Promise<void> {
    this.#ended = true
    const reason = new AbortedError('the ingest session was given up')
    await Promise.all(this.#options.lanes.map((lane) => lane.abort(reason)))
    await Promise.allSettled([...this.#underWay.values(), this.#publishing])
  }

  async #add(info: PathInfo, nar: AsyncIterable<Uint8Array>, options: IngestOptions): Promise<IngestOutcome> {
    const lane = this.#idle.pop() ?? (await new Promise<Lane>((resolve) => this.#waiting.push(resolve)))
    try {
      options.signal?.throwIfAborted()
      if (this.#ended && this.#publishError !== undefined) throw this.#publishError
      const { tree, durable } = await lane.store(info, nar, options.signal)
      const pending: PendingPackage = { info, tree, single: options.single === true, durable: false }
      this.#options.publisher.add(pending)
      durable.then(
        () => {
          pending.durable = true
          this.#publish()
        },
        () => this.#options.publisher.remove(pending),
      )
      return 'added'
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#idle.push(lane)
      else next(lane)
    }
  }

  #publish(): Promise<void> {
    this.#publishing = this.#publishing.then(async () => {
      try {
        await this.#options.publisher.publishReady()
      } catch (error) {
        this.#publishError ??= error
      }
    })
    return this.#publishing
  }
}
