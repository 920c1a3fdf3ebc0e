import { FOLLOW_LONGEST_RETRY, FOLLOW_RETRY, MAX_POSTPONED } from '../limits.ts'

interface Wait {
  /** When it is tried again at the latest, milliseconds since 1970. */
  due: number
  /** Milliseconds of the next wait. */
  next: number
}

/**
 * Packages that peers have announced and nobody could give when they were asked for: their peers were gone. Nobody announces
 * them a second time, so they are kept for when there are other peers, or for a later attempt.
 */
export class Postponed {
  /** By hash part, in the order in which they were put off. */
  readonly #waits = new Map<string, Wait>()
  /** Names of the peers that were there at the last look. */
  #peers = ''

  get size(): number {
    return this.#waits.size
  }

  /** Puts a package off, each time for twice as long. Whether it is the first time. */
  add(hash: string, now: number): boolean {
    const wait = this.#waits.get(hash)
    const next = wait?.next ?? FOLLOW_RETRY
    this.#waits.delete(hash)
    this.#waits.set(hash, { due: now + next, next: Math.min(2 * next, FOLLOW_LONGEST_RETRY) })
    if (this.#waits.size > MAX_POSTPONED) {
      const [oldest] = this.#waits.keys()
      this.#waits.delete(oldest!)
    }
    return wait === undefined
  }

  /** It has come, or is not wanted any more. */
  delete(hash: string): void {
    this.#waits.delete(hash)
  }

  /**
   * What should be tried now: all when other peers are there than at the last look, otherwise those whose time has come. They
   * stay here until they are deleted, and are not named again before their next time.
   *
   * @param peers names of the peers that are connected
   */
  take(peers: readonly string[], now: number): string[] {
    const names = [...peers].sort().join(' ')
    const changed = names !== this.#peers
    this.#peers = names
    const taken: string[] = []
    for (const [hash, wait] of this.#waits) {
      if (!changed && wait.due > now) continue
      wait.due = now + wait.next
      taken.push(hash)
    }
    return taken
  }
}
