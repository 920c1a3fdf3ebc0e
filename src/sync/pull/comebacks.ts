import { setTimeout as delay } from 'node:timers/promises'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { COMEBACK_LONGEST_PAUSE, COMEBACK_PAUSE } from '../limits.ts'
import { type SourceLink, verdictOf } from '../source/link.ts'
import type { SourceFailedError } from './errors.ts'

/**
 * Waiting for sources that were lost in the middle of a pull: a node that is started anew, or one whose line was down for a
 * moment, is back within seconds. Only those are waited for that had something to give in this pull: where the address or the key is
 * wrong, the failure is told at once.
 */
export class Comebacks {
  readonly #budget: number
  /** Sources that have answered that they have something of what is wanted. */
  readonly #met = new Set<SourceLink>()
  /** Those of them that have been waited for, and have not answered since. */
  readonly #away = new Set<SourceLink>()
  /** Milliseconds of waiting that are left. */
  #left: number
  #pause = COMEBACK_PAUSE
  /** Packages that had come at the last wait. */
  #packages = 0

  /** @param budget milliseconds that may be waited, all times together, for the next package */
  constructor(budget: number) {
    this.#budget = budget
    this.#left = budget
  }

  /** A source has something of what is wanted. */
  met(link: SourceLink): void {
    this.#met.add(link)
    this.#away.delete(link)
  }

  waitedFor(link: SourceLink): void {
    this.#away.add(link)
  }

  /** Whether a source has been waited for and is not back, so that another failure of it is no news. */
  isAway(link: SourceLink): boolean {
    return this.#away.has(link)
  }

  /** Of the sources that failed those that may be back soon. */
  lost(failed: ReadonlyMap<SourceLink, SourceFailedError>): SourceLink[] {
    return [...failed]
      .filter(([link, { cause }]) => this.#met.has(link) && verdictOf(cause) === 'broke off')
      .map(([link]) => link)
  }

  /**
   * Milliseconds to wait before the lost are tried again; `undefined` when the time is up.
   *
   * @param packages that have come so far: with more than before it may be waited as long again
   */
  next(packages: number): number | undefined {
    if (packages > this.#packages) {
      this.#packages = packages
      this.#left = this.#budget
      this.#pause = COMEBACK_PAUSE
    }
    const pause = Math.min(this.#pause, this.#left)
    if (pause <= 0) return undefined
    this.#left -= pause
    this.#pause = Math.min(2 * this.#pause, COMEBACK_LONGEST_PAUSE)
    return pause
  }
}

/** Resolves after so many milliseconds, or when the signal fires. */
export async function pause(milliseconds: number, { signal }: AbortOptions): Promise<void> {
  await delay(milliseconds, undefined, signal && { signal }).catch(() => {})
}
