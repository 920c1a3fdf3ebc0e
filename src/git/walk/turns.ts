import { setImmediate } from 'node:timers/promises'
import { throwIfAborted } from '../inflate.ts'

/** How long a walk works before other work gets its turn, in milliseconds. */
const TURN_MS = 8
/** Steps between two looks at the clock. */
const STEPS_A_LOOK = 32

/** Breaks long work on the main thread into turns. */
export class Turns {
  readonly #signal: AbortSignal | undefined
  #steps = 0
  #began = performance.now()

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  /** To be awaited before each step. @throws AbortedError */
  next(): Promise<void> | undefined {
    if (++this.#steps % STEPS_A_LOOK !== 0 || performance.now() - this.#began < TURN_MS) return undefined
    return this.#pause()
  }

  async #pause(): Promise<void> {
    await setImmediate()
    throwIfAborted(this.#signal)
    this.#began = performance.now()
  }
}
