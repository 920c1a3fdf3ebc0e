import { QUESTIONS_UNDER_WAY } from '../limits.ts'
import type { Findings } from '../source/link.ts'

/** Asks a source about packages (hash parts). */
export type Ask = (hashes: readonly string[]) => Promise<Findings>

interface Waiting {
  readonly answer: Promise<Findings>
  readonly settle: (answer: Promise<Findings>) => void
}

/**
 * Questions to one source that takes many at once: those that come in while some are under way are put together into the next.
 * A client that asks for a hundred packages at the same time would wait for a hundred round trips otherwise.
 */
export class Questions {
  readonly #ask: Ask
  #waiting = new Map<string, Waiting>()
  #underWay = 0

  /** @param ask fails by itself when it takes too long */
  constructor(ask: Ask) {
    this.#ask = ask
  }

  /** Asks about a package (hash part). The answer may tell of others as well. */
  ask(hash: string): Promise<Findings> {
    const known = this.#waiting.get(hash)
    if (known !== undefined) return known.answer
    const { promise, resolve } = Promise.withResolvers<Findings>()
    this.#waiting.set(hash, { answer: promise, settle: resolve })
    this.#next()
    return promise
  }

  #next(): void {
    if (this.#underWay >= QUESTIONS_UNDER_WAY || this.#waiting.size === 0) return
    const waiting = this.#waiting
    this.#waiting = new Map()
    this.#underWay++
    const answer = this.#ask([...waiting.keys()]).finally(() => {
      this.#underWay--
      this.#next()
    })
    for (const { settle } of waiting.values()) settle(answer)
  }
}
