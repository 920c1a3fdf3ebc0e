import { PeerStalledError } from '../errors.ts'
import { PACE_BYTES, PACE_WINDOW } from './limits.ts'

export interface PaceInit {
  /** The other side, for messages. */
  readonly peer: string
  /** Milliseconds of silence that are too many. */
  readonly silence: number
  /** Told once, when the other side stalls. */
  readonly onStall: (error: PeerStalledError) => void
  /** Milliseconds of a clock that does not jump; for tests. */
  readonly now?: () => number
}

/**
 * Watches that the other side of a transfer gets on: neither silent for too long nor giving a few bytes now and then to keep us
 * waiting. Only time in which it is waited for counts.
 */
export class Pace {
  readonly #init: PaceInit
  readonly #timer: NodeJS.Timeout
  readonly #now: () => number
  #waitingSince: number | undefined
  #waited = 0
  #bytes = 0

  constructor(init: PaceInit) {
    this.#init = init
    this.#now = init.now ?? (() => performance.now())
    this.#timer = setInterval(() => this.check(), Math.min(1000, init.silence / 4)).unref()
  }

  /** Waits for something of the other side. */
  async during<T>(promise: Promise<T>): Promise<T> {
    this.#waitingSince = this.#now()
    try {
      return await promise
    } finally {
      this.#waited += this.#now() - this.#waitingSince
      this.#waitingSince = undefined
    }
  }

  /** So many bytes came, or were taken. */
  progress(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < PACE_BYTES) return
    this.#bytes = 0
    this.#waited = 0
  }

  /** Looks at the time; done by a timer. */
  check(): void {
    if (this.#waitingSince === undefined) return
    const waiting = this.#now() - this.#waitingSince
    if (waiting >= this.#init.silence) {
      this.#stall(`was silent for ${Math.round(waiting / 1000)} s`)
    } else if (this.#waited + waiting >= PACE_WINDOW) {
      this.#stall(`moved ${this.#bytes} bytes in ${PACE_WINDOW / 1000} s`)
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #stall(what: string): void {
    this.stop()
    this.#init.onStall(new PeerStalledError(`the peer ${this.#init.peer} ${what} in a transfer`))
  }
}
