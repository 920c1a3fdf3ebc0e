/** Bounds a rate: so much at once, and so much a second over time. Without a timer: the time is handed in. */
export class TokenBucket {
  readonly #burst: number
  readonly #perMillisecond: number
  #tokens: number
  #at: number

  /**
   * @param burst tokens that there are at first, and at most
   * @param perSecond tokens that come each second
   * @param now in milliseconds, of any clock that does not go backwards much
   */
  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst
    this.#perMillisecond = perSecond / 1000
    this.#tokens = burst
    this.#at = now
  }

  /** Takes tokens if all of them are there. */
  take(now: number, tokens = 1): boolean {
    const passed = Math.max(0, now - this.#at)
    this.#tokens = Math.min(this.#burst, this.#tokens + passed * this.#perMillisecond)
    this.#at = now
    if (this.#tokens < tokens) return false
    this.#tokens -= tokens
    return true
  }
}
