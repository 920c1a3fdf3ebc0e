/** Milliseconds before a dial that failed is tried again for the first time. */
export const FIRST_DELAY = 3000
/** Milliseconds that are never waited longer: a peer that comes back is found within the hour, however long it was gone. */
export const LONGEST_DELAY = 60 * 60 * 1000

/** A peer that was here is tried again after a part of the time it has been gone: 1 in so many. */
export const GONE_PART = 8

export interface BackoffInit {
  readonly firstDelay?: number
  readonly longestDelay?: number
  /** From 0 up to 1; for tests. */
  readonly random?: () => number
}

/**
 * Milliseconds to wait after this many failures in a row (one or more): doubling, but for a peer that was here not more than an
 * eighth of the time it has been gone, so that a partition is over soon after the network has healed. Spread over half as
 * much again, so that nodes that lost one another together do not all dial at once.
 *
 * @param gone milliseconds since the peer was here; `Infinity` for one that never was
 */
export function backoff(failures: number, init: BackoffInit = {}, gone = Number.POSITIVE_INFINITY): number {
  const { firstDelay = FIRST_DELAY, longestDelay = LONGEST_DELAY, random = Math.random } = init
  const spread = 0.75 + random() / 2
  const doubled = firstDelay * 2 ** Math.min(failures - 1, 30)
  return Math.min(longestDelay, Math.min(doubled, Math.max(firstDelay, gone / GONE_PART)) * spread)
}
