/** Comparing a run with an earlier one: only ratios, as two runs are rarely on the same machine in the same mood. */
import { readFile } from 'node:fs/promises'
import type { Results } from './bench.ts'
import { type Figure, roundRatios } from './figures.ts'
import type { Options } from './options.ts'
import type { Machine } from './report.ts'

/**
 * How much worse the best round may be than the worst round of the earlier run. Sizes are exact. Of what remains the rounds differ by
 * themselves already: in the committed run CPU and memory by some 7 %, times by 15.
 */
const TOLERANCE = { size: 1.03, cpuAndMemory: 1.25, time: 1.4 }
/** Share of the processors' time that others may take before the times say more of them than of the product. */
const BUSY = 0.1
const MORE_IS_BETTER: ReadonlySet<string> = new Set(['MB/s', '1/s'])
/** What a few requests decide, and with them whatever else the machine did in that moment. */
const BY_FEW = /\b(p95|p99|max)$/

/** A run, as far as runs are compared. */
export interface Run extends Results {
  readonly machine: Machine
}

/** The same from a JSON report. */
export interface EarlierRun extends Run {
  readonly run: { readonly quick: boolean; readonly generation?: string }
}

export async function readEarlierRun(file: string): Promise<EarlierRun> {
  return JSON.parse(await readFile(file, 'utf8')) as EarlierRun
}

/** Why these options do not ask for the work that the earlier run did; `undefined` when they do, as far as they tell. */
export function otherWork({ run, set }: EarlierRun, options: Options): string | undefined {
  const generation = options.corpus === undefined ? undefined : options.generation
  if (run.quick === options.quick && run.generation === generation) return undefined
  const corpus = run.generation === undefined ? 'no --corpus' : `--corpus DIR --generation ${run.generation}`
  return `its run was of ${set.name}: compare by ${corpus} ${run.quick ? 'with' : 'without'} --quick`
}

/**
 * Holds the best round of each figure against the worst round of the earlier run: what is worse even so is hardly noise. On the same kind of
 * machine the product's own samples must be worse as well as their ratio, which a yardstick that has become quicker makes worse too.
 *
 * @returns a line for each figure that is worse by more than the tolerance, or that is not there although its section has its yardstick
 */
export function worseThan(earlier: EarlierRun, now: Run): string[] {
  const { set, figures } = now
  if (set.name !== earlier.set.name) return [`the packages are others: ${set.name}, were ${earlier.set.name}`]
  const byKey = new Map(figures.map((figure) => [keyOf(figure), figure]))
  const measured = new Set(figures.map(groupOf))
  const sameMachine = kindOf(earlier.machine) === kindOf(now.machine)
  return earlier.figures.flatMap((before) => {
    const kind = kindOfFigure(before)
    if (before.yardstick === undefined || BY_FEW.test(before.name)) return []
    const after = byKey.get(keyOf(before))
    if (after === undefined)
      return measured.has(groupOf(before)) ? [`${keyOf(before)}: is not measured any more`] : []
    // The packages that the benchmark makes are of the machine's files: only the same ones have the same size.
    if (kind === 'size' && set.narSize !== earlier.set.narSize) return []
    if (kind === 'time' && timesAreOff(now)) return []
    return compare(before, after, TOLERANCE[kind], sameMachine)
  })
}

/** Whether others were so busy that the run's times are not compared. */
export function timesAreOff({ busyElsewhere }: Results): boolean {
  return busyElsewhere > BUSY
}

function compare(before: Figure, after: Figure, allowed: number, sameMachine: boolean): string[] {
  const moreIsBetter = MORE_IS_BETTER.has(before.unit)
  /** The best of these and the worst of those, and how many times as bad the former is; `NaN` where there is nothing to compare. */
  const held = (now: readonly number[], then: readonly number[]) => {
    const [least, most] = moreIsBetter ? [Math.max, Math.min] : [Math.min, Math.max]
    const best = least(...now.filter(isMeasured))
    const worst = most(...then.filter(isMeasured))
    const times = moreIsBetter ? worst / best : best / worst
    return { best, worst, times: isMeasured(times) ? times : Number.NaN }
  }
  const ratio = held(roundRatios(after), roundRatios(before))
  const own = held(after.product, before.product)
  if (!(ratio.times > allowed && (!sameMachine || own.times > allowed))) return []
  const [a, b, c, d] = [ratio.best, ratio.worst, own.best, own.worst].map((value) => value.toPrecision(3))
  return [
    `${keyOf(before)}: ratio ${a} in the best round, was ${b} in the worst; itself ${c} ${before.unit}, was ${d}; allowed: ${allowed} times as bad`,
  ]
}

/** Other than the ratio to what took no time that shows. */
function isMeasured(value: number): boolean {
  return Number.isFinite(value) && value > 0
}

function kindOf({ processor, cores, memoryGiB }: Machine): string {
  return [processor, cores, memoryGiB].join()
}

function kindOfFigure({ section, name }: Figure): keyof typeof TOLERANCE {
  if (section.startsWith('Size')) return 'size'
  return /\bCPU\b|\bmemory\b/.test(name) ? 'cpuAndMemory' : 'time'
}

function keyOf({ section, name, yardstick }: Figure): string {
  return [section, name, ...(yardstick === undefined ? [] : [yardstick.name])].join(', ')
}

/** Figures that are measured together or not at all: which yardsticks there are is for the options to say. */
function groupOf({ section, yardstick }: Figure): string {
  return [section, yardstick?.name].join(', ')
}
