import { throwIfAborted } from '../../ingest/abort.ts'
import { errorCode, errorMessage } from '../../util/errors.ts'
import type { Puller, PullOptions } from './puller.ts'

/** Failures that are one package's and not the source's: the others are pulled all the same. */
const PACKAGE_FAULTS: ReadonlySet<string> = new Set([
  'ERR_UNTRUSTED',
  'ERR_STORED_NARINFO',
  'ERR_PACKAGE_UNAVAILABLE',
  'ERR_NARINFO_NOT_SENT',
  'ERR_CLOSURE_INVALID',
  'ERR_NAR_MISMATCH',
  'ERR_TREE_NOT_PACKAGE',
  'ERR_COMMIT_MISMATCH',
  'ERR_CONTENT_ADDRESS_MISMATCH',
  'ERR_BUDGET_EXCEEDED',
])

/** Pulls many packages, and leaves out those that are refused instead of giving up the others. */
export class TolerantPull {
  /** What has come of it so far. */
  readonly total = { added: 0, bytes: 0, received: 0, skipped: 0, sources: {} as Record<string, number> }
  readonly #puller: Puller
  readonly #options: PullOptions

  constructor(puller: Puller, options: PullOptions) {
    this.#puller = puller
    this.#options = options
  }

  /** @throws what a source throws that fails as a whole; AbortedError */
  async pull(hashes: readonly string[]): Promise<void> {
    throwIfAborted(this.#options.signal)
    const [only] = hashes
    if (only === undefined) return
    try {
      this.#count(await this.#puller.pull(hashes, this.#options))
    } catch (error) {
      if (!PACKAGE_FAULTS.has(errorCode(error))) throw error
      if (hashes.length === 1) {
        this.total.skipped++
        const said = { code: errorCode(error), message: errorMessage(error) }
        this.#options.onEvent?.({ type: 'skipped', path: only, ...said })
        return
      }
      // One of them is at fault: the half without it comes whole, and so on down to the one.
      const middle = Math.ceil(hashes.length / 2)
      await this.pull(hashes.slice(0, middle))
      await this.pull(hashes.slice(middle))
    }
  }

  #count({ added, bytes, received, sources }: Awaited<ReturnType<Puller['pull']>>): void {
    this.total.added += added
    this.total.bytes += bytes
    this.total.received += received
    for (const [name, count] of Object.entries(sources)) {
      this.total.sources[name] = (this.total.sources[name] ?? 0) + count
    }
  }
}
