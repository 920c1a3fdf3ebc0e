/** Milliseconds between two looks at how busy we are. */
const LOOK = 250
/** Share of the time in which the busiest thread works, below which another giver helps, and above which one fewer would do. */
const IDLE = 0.4
const BUSY = 0.65
/** Looks one after the other without time to spare after which it is taken for granted that there will be none. */
const SETTLED = 4

/**
 * How many of those who have something are asked for it at once: one, and more of them as long as this node has time to spare. A second
 * giver makes nobody faster who is busy with what the first one sends, but costs: requests, smaller packs, NARs that do not come in
 * their order.
 */
export class Crew {
  readonly #worked: () => readonly number[]
  #size = 1
  /** Looks one after the other at which there was no time to spare. */
  #busyLooks = 0
  #before: { readonly worked: readonly number[]; readonly at: number } = { worked: [], at: 0 }

  /** @param worked milliseconds that each thread which has to do with what comes has worked so far */
  constructor(worked: () => readonly number[]) {
    this.#worked = worked
  }

  /** How many work at once. */
  get size(): number {
    return this.#size
  }

  /** How many may come to work at once: work need not be cut for more than these. @param givers all who could */
  reach(givers: number): number {
    return this.#busyLooks < SETTLED ? givers : Math.min(this.#size, givers)
  }

  /**
   * Has work done until none is left, or nobody is who can do it.
   *
   * @param givers those who are known to be able, the preferred ones first
   * @param isLeft whether there is work that nobody has begun
   * @param work has one of them work while there is some; resolves to whether it can go on working. It takes up work at once, and never throws
   * @param recruit looks for more who can, when there is time to spare for them: once, and not waited for; those who are known already may be told again
   */
  async share<G>(
    givers: readonly G[],
    isLeft: () => boolean,
    work: (giver: G) => Promise<boolean>,
    recruit: (join: (giver: G) => void) => void,
  ): Promise<void> {
    const rested = [...givers]
    const working = new Set<Promise<void>>()
    const callUp = (): void => {
      while (working.size < this.#size && rested.length > 0 && isLeft()) {
        const giver = rested.shift()!
        const shift = work(giver).then((sound) => {
          working.delete(shift)
          if (sound) rested.push(giver)
          // Whoever is waited for below may be stuck, while this one has left something for others.
          callUp()
        })
        working.add(shift)
      }
    }
    let recruited = false
    const known = new Set(givers)
    const join = (giver: G): void => {
      if (known.has(giver)) return
      known.add(giver)
      rested.push(giver)
      callUp()
    }
    this.#utilization()
    const timer = setInterval(() => {
      const utilization = this.#utilization()
      if (utilization > BUSY && this.#size > 1) this.#size--
      this.#busyLooks = utilization < IDLE ? 0 : this.#busyLooks + 1
      if (this.#busyLooks > 0) return
      if (rested.length === 0) {
        if (!recruited) recruit(join)
        recruited = true
      } else if (working.size >= this.#size) {
        this.#size++
        callUp()
      }
    }, LOOK)
    try {
      for (;;) {
        callUp()
        if (working.size === 0) return
        await Promise.race(working)
      }
    } finally {
      clearInterval(timer)
    }
  }

  /** Share of the time since the last look in which the busiest of the threads worked. */
  #utilization(): number {
    const { worked: before, at } = this.#before
    const [worked, now] = [this.#worked(), performance.now()]
    this.#before = { worked, at: now }
    const busiest = Math.max(...worked.map((milliseconds, thread) => milliseconds - (before[thread] ?? 0)))
    return Math.max(0, busiest) / (now - at)
  }
}
