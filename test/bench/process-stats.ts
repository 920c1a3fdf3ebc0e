/** What the kernel says of processes: CPU time and peak memory, with all that they started (`/proc`, Linux). */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** Clock ticks a second in `/proc/PID/stat`: Linux shows 100 to programs on every architecture that Node runs on. */
const TICKS = 100
/** Milliseconds between two looks at the memory of a running command. */
const SAMPLE_INTERVAL = 10

/** What a command cost. */
export interface Cost {
  /** From its start to its end. */
  readonly seconds: number
  /** User and system time of all its processes and of the processes named beside it. */
  readonly cpuSeconds: number
  /** Peak resident memory in bytes, of its processes together. */
  readonly peakBytes: number
}

/** A file of `/proc`; empty when the process has ended. */
function procFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The processes that a process started and that still run. */
export function childrenOf(pid: number): number[] {
  let threads: string[]
  try {
    threads = readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
  return threads.flatMap((thread) =>
    procFile(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  )
}

/** A process and all below it. */
function tree(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(tree)]
}

/** The name of a process's program, at most 15 characters. */
export function programOf(pid: number): string {
  return procFile(`/proc/${pid}/comm`).trim()
}

/** CPU seconds of one process; `ended` are those of its children that have ended and that it has waited for. */
function cpuOf(pid: number): { own: number; ended: number } {
  const stat = procFile(`/proc/${pid}/stat`)
  // The name in parentheses may hold anything; the numbers come after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const seconds = (first: number): number =>
    (Number(fields[first] ?? 0) + Number(fields[first + 1] ?? 0)) / TICKS
  return stat === '' ? { own: 0, ended: 0 } : { own: seconds(11), ended: seconds(13) }
}

/** CPU seconds so far of processes with all below them, ended ones included. Steps of 10 ms. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.flatMap(tree).reduce((sum, pid) => {
    const { own, ended } = cpuOf(pid)
    return sum + own + ended
  }, 0)
}

/** CPU seconds so far of all processes of the machine, and of what its host took from it. */
export function machineCpuSeconds(): number {
  const [user, nice, system, , , irq, softirq, steal] = /^cpu +(.*)$/m
    .exec(procFile('/proc/stat'))![1]!
    .split(' ')
    .map(Number)
  return (
    [user, nice, system, irq, softirq, steal].reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0) / TICKS
  )
}

/** Peak resident memory in bytes of a process with all that run below it, pages that they share counted for each. */
export function peakMemory(pid: number): number {
  return tree(pid).reduce((sum, each) => {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(procFile(`/proc/${each}/status`))?.[1]
    return sum + Number(kilobytes ?? 0) * 1024
  }, 0)
}

/** Makes the peak of a process and of all below it start again from what they use now. */
export function resetPeakMemory(pid: number): void {
  for (const each of tree(pid)) writeFileSync(`/proc/${each}/clear_refs`, '5')
}

/**
 * Runs commands (children of this process) and measures them. Only what is started meanwhile counts, so nothing else
 * may be started or end at the same time.
 *
 * @param beside - processes that work for the command and whose CPU time counts as well, such as a daemon
 */
export async function measured(work: () => Promise<unknown>, beside: readonly number[] = []): Promise<Cost> {
  const before = new Set(childrenOf(process.pid))
  const self = procFile('/proc/self/cmdline')
  let peakBytes = 0
  const sampler = setInterval(() => {
    let bytes = 0
    for (const pid of childrenOf(process.pid)) {
      // Between fork and exec a child still is a copy of this process.
      if (!before.has(pid) && procFile(`/proc/${pid}/cmdline`) !== self) bytes += peakMemory(pid)
    }
    peakBytes = Math.max(peakBytes, bytes)
  }, SAMPLE_INTERVAL)
  const cpu = (): number => cpuOf(process.pid).ended + cpuSeconds(beside)
  try {
    const cpuBefore = cpu()
    const began = performance.now()
    await work()
    const seconds = (performance.now() - began) / 1000
    return { seconds, cpuSeconds: cpu() - cpuBefore, peakBytes }
  } finally {
    clearInterval(sampler)
  }
}
