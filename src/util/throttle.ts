import { AbortedError } from './errors.ts'
import type { AbortOptions } from './lifecycle.ts'

/**
 * Holds a flow to so many bytes a second, in the long run; what was not used can be made up for within a second.
 *
 * Who takes more than there is goes into debt and waits until it is paid. So one take may be of any size, and those who wait are served in
 * order.
 */
export class Throttle {
  readonly #rate: number
  #left: number
  #filledAt = performance.now()

  /** @param rate bytes a second; `Infinity` never holds anybody up */
  constructor(rate: number) {
    this.#rate = rate
    this.#left = rate
  }

  /**
   * Resolves once the bytes may flow.
   *
   * @throws AbortedError when the signal fires; the bytes count as used
   */
  async take(bytes: number, options: AbortOptions = {}): Promise<void> {
    if (options.signal?.aborted) throw new AbortedError()
    if (this.#rate === Infinity) return
    const now = performance.now()
    const passed = (now - this.#filledAt) / 1000
    this.#left = Math.min(this.#rate, this.#left + passed * this.#rate) - bytes
    this.#filledAt = now
    if (this.#left < 0) await pause((-this.#left / this.#rate) * 1000, options.signal)
  }
}

/** Resolves after a time; `AbortedError` when the signal fires before. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(new AbortedError())
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, milliseconds)
    signal?.addEventListener('abort', abort, { once: true })
  })
}
