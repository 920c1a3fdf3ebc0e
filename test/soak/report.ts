/** The report as Markdown. */

import { QUANTITIES, type Quantity } from './samples.ts'
import type { NodeReport, SoakReport } from './soak.ts'

export function markdownReport(report: SoakReport): string {
  const { seed, minutes, problems, counts, settled, nodes, bytesFetched } = report
  return [
    `# Soak of ${minutes} minutes (seed ${seed}): ${problems.length === 0 ? 'no problem' : `${problems.length} problems`}`,
    ...(problems.length === 0 ? [] : ['## Problems', problems.map((each) => `- ${each}`).join('\n')]),
    '## What happened',
    table(
      ['', 'times'],
      Object.entries(counts)
        .sort()
        .map(([what, times]) => [what, String(times)]),
    ),
    `Clients fetched ${megabytes(bytesFetched)} MB. After the last of it everything was where it belongs within ${settled.toFixed(0)} s.`,
    '## Nodes at the end',
    table(
      ['node', 'policy', 'packages', 'processes', 'highest RSS, MB', ...REST],
      nodes.map((node) => [
        ...[node.name, node.sync, String(node.packages), String(node.lives.length)],
        megabytes(node.peakRss),
        ...REST.map((quantity) => {
          const [before, after] = [node.atRest.before, node.atRest.after].map((sample) => sample[quantity]!)
          return `${inUnits(quantity, before!)} → ${inUnits(quantity, after!)}`
        }),
      ]),
    ),
    `${REST.join(', ')}: at rest after 40 % of the time and at the end; memory in MB.`,
    '## Growth within a process',
    'Medians of the second and the last quarter of its life, and the highest value; memory in MB. Resident memory: of the halves of what comes after ten minutes.',
    table(['node', 'seconds', 'end', ...QUANTITIES], nodes.flatMap(livesOf)),
    '## Warnings in the logs',
    table(['node', 'times', 'warning'], nodes.flatMap(warningsOf)),
    '',
  ].join('\n\n')
}

const REST = ['inUse', 'packs', 'descriptors', 'handles', 'listeners', 'connections', 'streams'] as const

function livesOf({ name, lives }: NodeReport): string[][] {
  return lives
    .filter(({ trends }) => trends.length > 0)
    .map(({ seconds, end, trends }) => [
      ...[name, String(seconds), end],
      ...trends.map(({ quantity, early, late, highest, grew }) => {
        const [from, to, most] = [early, late, highest].map((value) => inUnits(quantity, value))
        return `${from} → ${to} (${most})${grew ? ' **grew**' : ''}`
      }),
    ])
}

function warningsOf({ name, warnings }: NodeReport): string[][] {
  return Object.entries(warnings).map(([text, times]) => [name, String(times), text])
}

function inUnits(quantity: Quantity, value: number): string {
  return ['rss', 'heap', 'inUse'].includes(quantity) ? megabytes(value) : String(value)
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return 'None.'
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
