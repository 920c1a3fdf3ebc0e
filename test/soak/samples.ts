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
  /** JavaScript objects and buffers once everything else is collected; `undefined` in most looks. */
  readonly inUse: number | undefined
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
  inUse: { factor: 1.1, more: 8 * MIB },
  // Two a pack: one while a package is being taken in, and those that are too few, or too unlike in size, to be merged.
  packs: { factor: 1, more: 48 },
  descriptors: { factor: 1.1, more: 16 },
  threads: { factor: 1, more: 8 },
  handles: { factor: 1.1, more: 12 },
  listeners: { factor: 1, more: 2 },
  connections: { factor: 1, more: 4 },
  streams: { factor: 1, more: 12 },
}

/** When nothing is asked of them, a node at the end must hold what nodes held at the start, give or take so many. */
export const AT_REST: Readonly<Partial<Record<Quantity, number>>> = {
  packs: 48,
  descriptors: 12,
  handles: 6,
  listeners: 0,
}

/** Streams of each connection at rest: gossip has one in each direction, and everything else ends. */
export const STREAMS_AT_REST = 2

/**
 * By how much what is in use may be more at rest in the end than in the middle, within one process: the buffers that the pool for
 * bodies keeps, the index and the plans of some hundred packages, and code that was compiled meanwhile.
 */
export const IN_USE_AT_REST = 12 * MIB

/** Lives that were looked at less often say nothing. */
const ENOUGH = 24
/**
 * Seconds until a process has as much resident memory as it ever takes: it has sent and received large packages by then. Before that
 * it shows what the allocator keeps of the largest load so far, and says nothing of leaks.
 */
const RSS_WARM_UP = 600

/** What the kernel says of a process, with what the node says of itself. */
export function sampleOf(
  pid: number,
  { uptime, process, mesh }: NodeStatus,
  inUse: number | undefined,
): Sample {
  const threads = /^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  const open = openFiles(pid)
  const isPack = (target: string) => target.includes('/objects/pack/')
  const count = (counts: Readonly<Record<string, number>>) =>
    Object.values(counts).reduce((sum, each) => sum + each, 0)
  return {
    age: uptime,
    rss: process.rss,
    heap: process.heapUsed,
    inUse,
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

/** Several looks at one node as one, by the least of each: what only comes and goes, such as a ping, is not in all of them. */
export function least(samples: readonly Sample[]): Sample {
  const quantities = Object.keys(samples[0]!) as (keyof Sample)[]
  const entries = quantities.map((quantity) => [quantity, Math.min(...valuesOf(samples, quantity))])
  return Object.fromEntries(entries) as Sample
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
 * Compares an early with a late part of a life, both after warm-up.
 *
 * @returns nothing for a life that was too short
 */
export function trendsOf(samples: readonly Sample[]): Trend[] {
  if (samples.length < ENOUGH) return []
  return QUANTITIES.map((quantity) => {
    const windows = quantity === 'rss' ? halvesOfLateLife(samples) : quarters(samples)
    const highest = Math.max(...valuesOf(samples, quantity))
    const [early, late] = windows.map((part) => median(valuesOf(part, quantity))) as [number, number]
    const { factor, more } = TOLERANCES[quantity]
    return { quantity, early, late, highest, grew: late > early * factor + more }
  })
}

/** The second quarter and the last one; the first is warm-up. */
function quarters(samples: readonly Sample[]): [Sample[], Sample[]] {
  const quarter = Math.floor(samples.length / 4)
  return [samples.slice(quarter, 2 * quarter), samples.slice(-quarter)]
}

/** The halves of what comes after the warm-up of resident memory; of a life that has no such, its last quarter, twice. */
function halvesOfLateLife(samples: readonly Sample[]): [Sample[], Sample[]] {
  const warm = samples.filter(({ age }) => age > RSS_WARM_UP)
  if (warm.length < ENOUGH) return [quarters(samples)[1], quarters(samples)[1]]
  const half = Math.floor(warm.length / 2)
  return [warm.slice(0, half), warm.slice(-half)]
}

function valuesOf(samples: readonly Sample[], quantity: keyof Sample): number[] {
  return samples.map((sample) => sample[quantity]).filter((value) => value !== undefined)
}

export const QUANTITIES = Object.keys(TOLERANCES) as Quantity[]
