/** What was claimed by one caller. */
export interface Claim {
  /** What nobody else had claimed. */
  readonly mine: readonly string[]
  /** End when those are done who have claimed the rest; whether they succeeded they do not tell. */
  readonly others: readonly Promise<void>[]
  /** To be called when `mine` is there, or has failed. */
  readonly release: () => void
}

/**
 * Packages or objects that are on their way, so that of two who need the same one fetches it and the other waits. All is
 * claimed at once: whoever waits does so only for those that claimed before it, so nobody waits in a circle.
 */
export class Claims {
  readonly #underWay = new Map<string, Promise<void>>()

  claim(names: Iterable<string>): Claim {
    const { promise, resolve } = Promise.withResolvers<void>()
    const mine: string[] = []
    const others = new Set<Promise<void>>()
    for (const name of names) {
      const fetching = this.#underWay.get(name)
      if (fetching === undefined) {
        this.#underWay.set(name, promise)
        mine.push(name)
      } else if (fetching !== promise) others.add(fetching)
    }
    const release = () => {
      for (const name of mine) this.#underWay.delete(name)
      resolve()
    }
    return { mine, others: [...others], release }
  }
}
