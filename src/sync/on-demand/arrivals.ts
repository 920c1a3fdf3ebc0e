import type { ExpectedPackage } from '../../store/api.ts'
import { ARRIVAL_PROGRESS_BYTES, ARRIVAL_STALL, PUBLISHING_STALL } from '../limits.ts'

/** One pull under way that clients wait for. */
export class Arrival {
  /** Resolves when the pull has ended, in whatever way. */
  readonly ended: Promise<void>
  readonly #end: () => void
  #bytes = 0
  #counted = 0
  #progress = performance.now()
  #patience = ARRIVAL_STALL

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#end = resolve
  }

  /** When so much had come last that waiting made sense, in milliseconds of `performance.now()`. */
  get lastProgress(): number {
    return this.#progress
  }

  /** Milliseconds that the pull has left to show that it gets on. */
  get timeLeft(): number {
    return this.#progress + this.#patience - performance.now()
  }

  /** Whether waiting for it makes no sense any more. */
  get hasStalled(): boolean {
    return this.timeLeft <= 0
  }

  /** Bytes have come. Only a fair number of them counts: a source that trickles is as good as dead to who waits. */
  came(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes - this.#counted < ARRIVAL_PROGRESS_BYTES) return
    this.moved()
  }

  /** Something else than bytes shows that the pull gets on. */
  moved(): void {
    this.#counted = this.#bytes
    this.#patience = ARRIVAL_STALL
    this.#progress = performance.now()
  }

  /** All has come; what is left to do is our own work, which no source can hold up. */
  publishing(): void {
    this.moved()
    this.#patience = PUBLISHING_STALL
  }

  /** Gets on as long as another one does that it waits for. */
  follow(other: Arrival): void {
    const [own, others] = [this.#progress + this.#patience, other.#progress + other.#patience]
    if (others <= own) return
    this.#progress = other.#progress
    this.#patience = other.#patience
  }

  end(): void {
    this.#end()
  }
}

/** Packages that are on their way, with what is known of them. */
export class Arrivals {
  readonly #expected = new Map<string, ExpectedPackage & { readonly arrival: Arrival }>()

  get(hash: string): (ExpectedPackage & { readonly arrival: Arrival }) | undefined {
    return this.#expected.get(hash)
  }

  /** A pull will bring this package, unless another one does already. */
  expect({ info, vouched }: ExpectedPackage, arrival: Arrival): void {
    const { hash } = info.storePath
    if (!this.#expected.has(hash)) this.#expected.set(hash, { info, vouched, arrival })
  }

  /** The pull has ended: its packages are here, or will not come. */
  forget(arrival: Arrival): void {
    for (const [hash, expected] of this.#expected) {
      if (expected.arrival === arrival) this.#expected.delete(hash)
    }
  }
}
