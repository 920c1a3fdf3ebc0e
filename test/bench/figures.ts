/** The figures of a run: each with its samples for the product and for one yardstick. */
import { median } from './stats.ts'

export interface Figure {
  /** What the row is about; rows of one section stand together. */
  readonly section: string
  readonly name: string
  readonly unit: string
  readonly product: readonly number[]
  /** Absent where there is nothing to compare with. */
  readonly yardstick?: { readonly name: string; readonly samples: readonly number[] }
}

/** Product by yardstick, of the medians; and the least and most of the rounds that both were in. */
export interface Ratio {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** Product by yardstick in each round that both were in; none without a yardstick. */
export function roundRatios({ product, yardstick }: Figure): number[] {
  const samples = yardstick?.samples ?? []
  return product.slice(0, samples.length).map((value, round) => value / samples[round]!)
}

/** `undefined` without a yardstick. */
export function ratioOf(figure: Figure): Ratio | undefined {
  const { product, yardstick } = figure
  if (yardstick === undefined) return undefined
  const rounds = roundRatios(figure)
  return {
    median: median(product) / median(yardstick.samples),
    least: Math.min(...rounds),
    most: Math.max(...rounds),
  }
}

/** Markdown tables, one a section. */
export function markdown(figures: readonly Figure[]): string {
  const sections = Map.groupBy(figures, ({ section }) => section)
  return [...sections].map(([section, rows]) => `### ${section}\n\n${table(rows)}`).join('\n')
}

function table(figures: readonly Figure[]): string {
  const head = ['figure', 'unit', 'gachix', 'yardstick', '', 'ratio', 'ratio of each round', 'rounds']
  const rows = figures.map((figure) => {
    const { name, unit, product, yardstick } = figure
    const ratio = ratioOf(figure)
    const paired = Math.min(product.length, yardstick?.samples.length ?? 0)
    const spread = ratio === undefined || paired < 2 ? '' : `${digits(ratio.least)} to ${digits(ratio.most)}`
    return [
      name,
      unit,
      digits(median(product)),
      yardstick?.name ?? '',
      yardstick === undefined ? '' : digits(median(yardstick.samples)),
      ratio === undefined ? '' : `**${digits(ratio.median)}**`,
      spread,
      yardstick === undefined ? String(product.length) : String(paired),
    ]
  })
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  const alignment = ['---', '---', '--:', '---', '--:', '--:', '--:', '--:']
  return [head, alignment, ...rows].map(line).join('')
}

/** Three digits that mean something. */
function digits(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Number.isInteger(value) || Math.abs(value) >= 100) return value.toFixed(0)
  if (Math.abs(value) >= 10) return value.toFixed(1)
  if (Math.abs(value) >= 1) return value.toFixed(2)
  return value.toPrecision(2)
}
