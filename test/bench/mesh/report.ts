/** The report: Markdown for people, JSON for programs. */
import type { Machine } from '../report.ts'
import { median } from '../stats.ts'
import type { Part, Results } from './bench.ts'
import type { Sample } from './contender.ts'
import type { Options } from './options.ts'

export function markdownReport(results: Results, machine: Machine, options: Options): string {
  const { date, processor, cores, memoryGiB, node, nix } = machine
  const { corpus, first, update, load } = results
  const [before, after] = load.map((value) => value.toFixed(1))
  return [
    '## Pulling a closure',
    `${date}: ${cores} cores (${processor}), ${memoryGiB} GiB, Node ${node}, Nix ${nix}; load average ${before} before, ${after} after. ${corpus}.`,
    `### Into nothing: ${describe(first)}, medians of ${options.rounds} rounds`,
    table(first),
    `### B after A: ${describe(update)} that are new, once`,
    table(update),
    '',
  ].join('\n\n')
}

export function jsonReport(results: Results, machine: Machine, options: Options): string {
  const part = ({ packages, narSize, samples }: Part) => ({
    ...{ packages, narSize },
    contenders: Object.fromEntries(samples),
  })
  const { first, update, ...rest } = results
  const parts = { first: part(first), update: part(update) }
  return `${JSON.stringify({ machine, rounds: options.rounds, ...rest, ...parts }, undefined, 2)}\n`
}

function describe({ packages, narSize }: Part): string {
  return `${packages} packages, ${(narSize / 1e6).toFixed(0)} MB of NARs`
}

function table({ narSize, samples }: Part): string {
  const head = [
    ...['', 'seconds', 'of each round', 'MB of NAR/s', 'CPU seconds', 'MB of NAR/CPU s', 'MB over the wire'],
    ...['peak of the taker, MB', 'peak of a giver, MB'],
  ]
  const rows = [...samples].map(([name, each]) => {
    const middle = (value: (sample: Sample) => number) => median(each.map(value))
    const seconds = middle((sample) => sample.seconds)
    const cpuSeconds = middle((sample) => sample.cpuSeconds)
    return [
      ...[name, seconds.toFixed(1), each.map((sample) => sample.seconds.toFixed(1)).join(' ')],
      (narSize / 1e6 / seconds).toFixed(1),
      cpuSeconds.toFixed(1),
      (narSize / 1e6 / cpuSeconds).toFixed(1),
      (middle(({ wireBytes }) => wireBytes) / 1e6).toFixed(2),
      (middle(({ takerPeak }) => takerPeak) / 1e6).toFixed(0),
      (middle(({ giverPeak }) => giverPeak) / 1e6).toFixed(0),
    ]
  })
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  return [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...rows].map(line).join('')
}
