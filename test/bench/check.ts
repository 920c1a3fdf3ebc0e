/** Comparing a run with an earlier one: only ratios, as two runs are rarely on the same machine in the same mood. */
import { readFile } from 'node:fs/promises'
import { type Figure, ratioOf } from './figures.ts'

/** How much worse a ratio may be before it counts: sizes are exact, times and memory are not. */
const TOLERANCE = { size: 1.03, other: 1.4 }
const MORE_IS_BETTER: ReadonlySet<string> = new Set(['MB/s', '1/s'])

interface EarlierFigure {
  readonly section: string
  readonly name: string
  readonly yardstick?: { readonly name: string }
  readonly ratio?: { readonly median: number | null }
}

/**
 * Compares the ratios of a run with those of the JSON report in `file`.
 *
 * @returns a line for each that is worse by more than the tolerance
 */
export async function worseThan(file: string, figures: readonly Figure[]): Promise<string[]> {
  const { figures: earlier } = JSON.parse(await readFile(file, 'utf8')) as { figures: EarlierFigure[] }
  const ratios = new Map(earlier.map((figure) => [keyOf(figure), figure.ratio?.median]))
  return figures.flatMap((figure) => {
    const now = ratioOf(figure)?.median
    const before = ratios.get(keyOf(figure))
    // A yardstick that took no time that shows has no ratio.
    if (now === undefined || before == null || !Number.isFinite(now)) return []
    const worse = MORE_IS_BETTER.has(figure.unit) ? before / now : now / before
    const allowed = figure.section.startsWith('Size') ? TOLERANCE.size : TOLERANCE.other
    if (worse <= allowed) return []
    return [`${keyOf(figure)}: ratio ${now.toFixed(2)}, was ${before.toFixed(2)}`]
  })
}

function keyOf({ section, name, yardstick }: EarlierFigure): string {
  return [section, name, ...(yardstick === undefined ? [] : [yardstick.name])].join(', ')
}
