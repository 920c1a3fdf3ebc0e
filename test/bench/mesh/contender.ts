/** A way to get a closure from one host to another, and what it costs. */

import { setTimeout as delay } from 'node:timers/promises'
import { run } from '../../support/process.ts'
import { cpuSeconds, measured, peakMemory, resetPeakMemory } from '../process-stats.ts'
import type { Place } from './place.ts'

/** Milliseconds between two looks at the memory of those who give. */
const SAMPLE_INTERVAL = 50
/** Seconds without work after which a node has nothing left to do; it waits for 5 before it merges what it has pulled. */
const QUIET_SECONDS = 8
/** CPU seconds in a second that are no work: heartbeats. */
const NO_WORK = 0.1
/** Seconds after which it is not waited for any more. */
const LONGEST_REST = 90

/** What is to be copied. */
export interface Wanted {
  readonly roots: readonly string[]
  /** All store paths that the roots need, themselves among them. */
  readonly closure: readonly { readonly path: string }[]
}

export interface Contender {
  readonly name: string
  /** Processes that give. */
  readonly givers: readonly number[]
  /** Makes an empty place to copy to, in a new state each time. */
  prepare(): Promise<void>
  /** Processes that take and that run already, for instance a node; those that `pull` starts are counted anyway. */
  takers(): readonly number[]
  /** The measured part: copies what is wanted. */
  pull(wanted: Wanted): Promise<void>
  /** Fails unless all of it has arrived; its packages are so many. */
  check(packages: number): Promise<void>
}

export interface Sample {
  readonly seconds: number
  /** Of both ends. */
  readonly cpuSeconds: number
  /** Over the cable, in both directions. */
  readonly wireBytes: number
  /** Highest resident memory in bytes: of the node that takes, or of the commands that do, together; and of the giver that has most. */
  readonly takerPeak: number
  readonly giverPeak: number
}

/** Lets a contender pull once. */
export async function measure(contender: Contender, place: Place, wanted: Wanted): Promise<Sample> {
  // What the one before has left to be written is not this one's business, which may wait for the disk.
  await run('sync', [])
  const takers = contender.takers()
  for (const pid of [...contender.givers, ...takers]) resetPeakMemory(pid)
  let giverPeak = 0
  const look = (): void => {
    for (const pid of contender.givers) giverPeak = Math.max(giverPeak, peakMemory(pid))
  }
  const sampler = setInterval(look, SAMPLE_INTERVAL)
  const before = place.wireBytes()
  try {
    const cost = await measured(() => contender.pull(wanted), [...contender.givers, ...takers])
    const after = place.wireBytes()
    look()
    const waiting = takers.reduce((sum, pid) => sum + peakMemory(pid), 0)
    return {
      seconds: cost.seconds,
      cpuSeconds: cost.cpuSeconds,
      wireBytes: after.received - before.received + after.sent - before.sent,
      takerPeak: Math.max(waiting, takers.length === 0 ? cost.peakBytes : 0),
      giverPeak,
    }
  } finally {
    clearInterval(sampler)
  }
}

/**
 * Waits until a node that has pulled has merged its packs: whoever is measured next would pay for that.
 *
 * @throws Error when it never rests
 */
export async function settle(contender: Contender): Promise<void> {
  const takers = contender.takers()
  if (takers.length === 0) return
  let before = cpuSeconds(takers)
  for (let second = 0, quiet = 0; quiet < QUIET_SECONDS; second++) {
    if (second === LONGEST_REST) throw new Error(`${contender.name} still works after ${LONGEST_REST} s`)
    await delay(1000)
    const now = cpuSeconds(takers)
    quiet = now - before < NO_WORK ? quiet + 1 : 0
    before = now
  }
}
