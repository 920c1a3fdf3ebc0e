/** What a node holds, looked at again and again over one life of its process, and whether that grows. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { NodeStatus } from '../../src/http/control/api.ts'
import { median } from '../bench/stats.ts'

/** One look at a node. Memory in bytes, everything else in pieces. */
export interface Sample {
  /** Seconds since the process was started. */
  readonly age: number
  readonly rss: number
  readonly heap: number
  /** Descriptors of the repository's packs and their indexes. */
  readonly packs: number
  /** All other descriptors. */
  readonly descriptors: number
  readonly threads: number
  readonly handles: number
  readonly listeners: number
  readonly connections: number
  readonly streams: number
}

export type Quantity = Exclude<keyof Sample, 'age'>

/** By how much a quantity may be larger late in a life than early. */
interface Tolerance {
  readonly factor: number
  readonly more: number
}

const MIB = 1024 * 1024

/**
 * The tolerances. Memory: what the collector has not got round to differs by that much between two looks, and the index of
 * a thousand packages is some MiB. The rest: nodes are at work in both windows, with another number of transfers in each.
 */
export const TOLERANCES: Readonly<Record<Quantity, Tolerance>> = {
  rss: { factor: 1.2, more: 24 * MIB },
  heap: { factor: 1.3, more: 8 * MIB },
  // Two a pack: one while a package is being taken in, and those that are too few, or too unlike in size, to be merged.
  packs: { factor: 1, more: 48 },
  descriptors: { factor: 1.1, more: 16 },
  threads: { factor: 1, more: 8 },
  handles: { factor: 1.1, more: 12 },
  listeners: { factor: 1, more: 2 },
  connections: { factor: 1, more: 4 },
  streams: { factor: 1, more: 12 },
}

/** When nothing is asked of them, a node at the end must hold what nodes held at the start, give or take a few. */
export const AT_REST: Readonly<Partial<Record<Quantity, number>>> = {
  packs: 48,
  descriptors: 12,
  handles: 6,
  listeners: 0,
  // One more for each of the four others: when two dial each other at once, both connections are kept.
  connections: 4,
  streams: 4,
}

/** Lives that were looked at less often say nothing. */
const ENOUGH = 24
/** Seconds until a process has as much resident memory as it ever takes: it has sent and received large packages by then. */
const RSS_WARM_UP = 600

/** What the kernel says of a process, with what the node says of itself. */
export function sampleOf(pid: number, { uptime, process, mesh }: NodeStatus): Sample {
  const threads = /^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  const open = openFiles(pid)
  const isPack = (target: string) => target.includes('/objects/pack/')
  const count = (counts: Readonly<Record<string, number>>) =>
    Object.values(counts).reduce((sum, each) => sum + each, 0)
  return {
    age: uptime,
    rss: process.rss,
    heap: process.heapUsed,
    packs: open.filter(isPack).length,
    descriptors: open.filter((target) => !isPack(target)).length,
    threads: Number(threads),
    handles: count(process.handles),
    listeners: process.listeners + (mesh?.load.listeners ?? 0),
    connections: mesh?.load.connections ?? 0,
    streams: mesh?.load.streams ?? 0,
  }
}

/** What the descriptors of a process are, deleted files included. */
function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      // Closed since the listing.
      return []
    }
  })
}

/** How a quantity developed over one life: medians of an early and a late window, after warm-up. */
export interface Trend {
  readonly quantity: Quantity
  readonly early: number
  readonly late: number
  readonly highest: number
  readonly grew: boolean
}

/**
 * Compares the second quarter of a life with its last one; the first is warm-up.
 *
 * @returns nothing for a life that was too short
 */
export function trendsOf(samples: readonly Sample[]): Trend[] {
  if (samples.length < ENOUGH) return []
  const quarter = Math.floor(samples.length / 4)
  return QUANTITIES.map((quantity) => {
    const values = samples.map((sample) => sample[quantity])
    const early = median(values.slice(quarter, 2 * quarter))
    const late = median(values.slice(-quarter))
    const { factor, more } = TOLERANCES[quantity]
    const grown = late > early * factor + more
    const grew = grown && (quantity !== 'rss' || samples.at(-1)!.age > RSS_WARM_UP)
    return { quantity, early, late, highest: Math.max(...values), grew }
  })
}

export const QUANTITIES = Object.keys(TOLERANCES) as Quantity[]
