import { HASH_BYTES, MAX_HEAD_HASHES, MAX_HEAD_INTERVAL, MIN_HEAD_INTERVAL } from '../../../protocol/index.ts'

/** Between a change and the head that tells it: changes that come together are told together. */
const BATCH_DELAY = 50
/** And up to so much more at random, so that nodes that were given something at the same time do not speak at the same time. */
const BATCH_JITTER = 150
/** A head carries what came since the last two heads as well, so that whoever missed one needs no log. */
const HEADS_COVERED = 3

/** Decides when our head is to be told, and how many of the newest hashes it carries. Times are milliseconds. */
export class HeadPublisher {
  readonly #random: () => number
  #due: number
  #last = Number.NEGATIVE_INFINITY
  #changed = false
  /** Last changes that the last heads told, the newest last. */
  #told: number[] = []

  /** @param random in [0, 1) */
  constructor(random: () => number, now: number) {
    this.#random = random
    this.#due = now + BATCH_DELAY + random() * BATCH_JITTER
  }

  /** When the next head is to be told. */
  get due(): number {
    return this.#due
  }

  /** Whether the next head is to be told now. A time that is too far off is of a clock that was put back since. */
  isDue(now: number): boolean {
    return now >= this.#due || this.#due > now + MAX_HEAD_INTERVAL
  }

  /** The inventory has changed. */
  changed(now: number): void {
    if (this.#changed) return
    this.#changed = true
    const earliest = Math.min(this.#last, now) + MIN_HEAD_INTERVAL
    this.#due = Math.min(this.#due, Math.max(now + BATCH_DELAY + this.#random() * BATCH_JITTER, earliest))
  }

  /** How many of the newest hashes a head for change `seq` should carry at most. */
  carried(seq: number): number {
    const from = this.#told[0] ?? 0
    return Math.min(MAX_HEAD_HASHES, Math.max(0, seq - from))
  }

  /** The log has a new epoch: its changes were told to nobody. */
  renewed(): void {
    this.#told = []
  }

  /** A head for change `seq` is told now. */
  published(seq: number, now: number): void {
    this.#changed = false
    this.#last = now
    this.#told.push(seq)
    if (this.#told.length > HEADS_COVERED) this.#told.shift()
    // not all of a network at the same minute
    this.#due = now + MAX_HEAD_INTERVAL * (0.9 + 0.1 * this.#random())
  }
}

/** Hashes that a list of newest ones has beyond `limit`, cut off at its beginning. */
export function newestOf(hashes: Uint8Array, limit: number): Uint8Array {
  return hashes.subarray(Math.max(0, hashes.length - limit * HASH_BYTES))
}
