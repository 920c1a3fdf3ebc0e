/** What breaking the rules costs a peer. Points fade, so that one accident is forgotten and a habit is not. */
import type { PeerRecord } from './record.ts'

/** The ways of breaking the rules, with their points. */
export const OFFENCES = {
  /** Sent objects, a narinfo or a package that turned out to be wrong. */
  lie: 50,
  /** Broke the protocol's form or bounds. */
  protocol: 25,
  /** Announced what it then did not have. */
  'empty promise': 10,
  /** Asks, dials or tells more often than it may. */
  flood: 5,
  /** Stalled in the middle of an answer, or of a question. */
  stall: 5,
  /** Gave next to nothing while others had the same: it may just be busy, or the line to it. */
  trickle: 1,
} as const

export type Offence = keyof typeof OFFENCES

/** Points at which a peer is banned. */
export const BAN_AT = 100
/** Milliseconds of a ban. */
export const BAN_TIME = 60 * 60 * 1000
/** Milliseconds in which half of the points fade. */
export const PENALTY_HALF_LIFE = 10 * 60 * 1000

/** Points of a peer now. */
export function penaltyOf(record: PeerRecord, now: number): number {
  const age = Math.max(0, now - record.penaltyAt)
  return record.penalty * 2 ** (-age / PENALTY_HALF_LIFE)
}

/**
 * Notes an offence.
 *
 * @returns whether the peer is banned because of it
 */
export function penalize(record: PeerRecord, offence: Offence, details: string, now: number): boolean {
  record.penalty = penaltyOf(record, now) + OFFENCES[offence]
  record.penaltyAt = now
  record.offence = `${offence}: ${details}`
  if (record.penalty < BAN_AT) return false
  record.bannedUntil = now + BAN_TIME
  record.penalty = 0
  return true
}

export function isBanned(record: PeerRecord, now: number): boolean {
  return record.bannedUntil !== undefined && record.bannedUntil > now
}
