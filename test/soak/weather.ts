/** When something was being done to the nodes: what fails then, or soon after, may be due to that. */

/** Milliseconds in which nodes notice that a peer is gone or back, dial again, and tell each other what they have. */
const AFTERMATH = 30_000

export class Weather {
  #storms = 0
  #cleared = Number.NEGATIVE_INFINITY

  async storm(work: () => Promise<void>): Promise<void> {
    this.#storms++
    try {
      await work()
    } finally {
      this.#storms--
      this.#cleared = Date.now()
    }
  }

  /** Whether nothing was done since `since` (milliseconds since 1970), and long enough before. */
  wasCalm(since: number): boolean {
    return this.#storms === 0 && this.#cleared + AFTERMATH < since
  }
}
