/** What a run gives to its reader: Markdown for people, JSON for programs. */
import { cpus, totalmem } from 'node:os'
import { Nginx } from '../support/nginx.ts'
import { runLines } from '../support/process.ts'
import type { Results } from './bench.ts'
import { markdown, ratioOf } from './figures.ts'
import type { Options } from './options.ts'
import { median } from './stats.ts'

/** Facts of the machine that the figures depend on; nothing that names it. */
export interface Machine {
  readonly date: string
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly node: string
  readonly nix: string
  readonly nginx: string
}

export async function describeMachine(): Promise<Machine> {
  const [nix] = await runLines('nix', ['--version'])
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    nix: nix!.split(' ').at(-1)!,
    nginx: await Nginx.version(),
  }
}

/** The report as Markdown. */
export function markdownReport(results: Results, machine: Machine, options: Options): string {
  const { set, figures, busyElsewhere } = results
  const { date, processor, cores, memoryGiB, node, nix, nginx } = machine
  return `## gachix beside nginx and \`nix copy\`

${date}: ${cores} cores (${processor}), ${memoryGiB} GiB, Node ${node}, Nix ${nix}, nginx ${nginx}.
${set.name}: ${set.paths} packages, ${(set.narSize / 1e6).toFixed(1)} MB of NARs. Medians of at most ${options.rounds} rounds${options.quick ? ', short form' : ''}. Others took ${(100 * busyElsewhere).toFixed(1)} % of the processors' time meanwhile.
Ratio: gachix by yardstick; below 1 it takes less (time, memory, space), for what is counted by the second above 1 is better.

${markdown(figures)}`
}

/** The report as JSON: every sample, medians and ratios. */
export function jsonReport(results: Results, machine: Machine, options: Options): string {
  const { rounds, quick, generation, corpus } = options
  const { set, busyElsewhere } = results
  const figures = results.figures.map((figure) => ({
    ...figure,
    median: median(figure.product),
    ...(figure.yardstick && {
      yardstick: { ...figure.yardstick, median: median(figure.yardstick.samples) },
      ratio: ratioOf(figure),
    }),
  }))
  const run = { rounds, quick, ...(corpus === undefined ? {} : { generation }) }
  return `${JSON.stringify({ machine, run, set, busyElsewhere, figures }, undefined, 2)}\n`
}
