/** Milliseconds before a dial that failed is tried again for the first time. */
export const FIRST_DELAY = 3000
/** Milliseconds that are never waited longer: a peer that comes back is found within the hour, however long it was gone. */
export const LONGEST_DELAY = 60 * 60 * 1000

export interface BackoffInit {
  readonly firstDelay?: number
  readonly longestDelay?: number
  /** From 0 up to 1; for tests. */
  readonly random?: () => number
}

/**
 * Milliseconds to wait after this many failures in a row (one or more): doubling, and spread over half as much again, so that nodes that
 * lost one another together do not all dial at once.
 */
export function backoff(failures: number, init: BackoffInit = {}): number {
  const { firstDelay = FIRST_DELAY, longestDelay = LONGEST_DELAY, random = Math.random } = init
  const spread = 0.75 + random() / 2
  return Math.min(longestDelay, firstDelay * 2 ** Math.min(failures - 1, 30) * spread)
}
