/**
 * `npm run fuzz -- [--target NAME] [--seconds N | --runs N] [--seed S]`: fuzzes one target or all, one after the other. An
 * input that a target fails on is written to `test/fuzz/crashes/<target>/` and replayed by `npm test` from then on.
 */
import { parseArgs } from 'node:util'
import { type FuzzReport, fuzz } from './supervise.ts'
import { targetNames } from './targets.ts'

const DEFAULT_SECONDS = 30

const USAGE = `npm run fuzz -- [--target NAME] [--seconds N | --runs N] [--seed S]

  --target NAME  one of ${targetNames().join(', ')}; all by default
  --seconds N    time for each target, ${DEFAULT_SECONDS} by default
  --runs N       number of inputs for each target instead
  --seed S       whole number that the inputs follow from; random by default`

function number(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${option} takes a whole number, not ${text}`)
  return value
}

function describe(report: FuzzReport): string {
  const seconds = report.milliseconds / 1000
  const rate = Math.round(report.runs / seconds)
  const line = `${report.target}: ${report.runs} runs in ${seconds.toFixed(1)} s (${rate}/s), seed ${report.seed}`
  if (report.failure === undefined) return `${line}, fine`
  return `${line}, FAILED (${report.failure.kind})\n  input: ${report.failure.file}\n  ${report.failure.message}`
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      target: { type: 'string' },
      seconds: { type: 'string' },
      runs: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) {
    console.log(USAGE)
    return 0
  }
  const runs = number(values.runs, '--runs')
  const seconds = number(values.seconds, '--seconds')
  const seed = number(values.seed, '--seed') ?? Math.floor(Math.random() * 0x7fffffff)
  const names = values.target === undefined ? targetNames() : [values.target]
  const unknown = names.find((name) => !targetNames().includes(name))
  if (unknown !== undefined) throw new RangeError(`no target ${unknown}`)
  const length = runs === undefined ? { seconds: seconds ?? DEFAULT_SECONDS } : { runs }

  let failures = 0
  for (const name of names) {
    const report = await fuzz(name, { seed, ...length })
    if (report.failure !== undefined) failures++
    console.log(describe(report))
  }
  return failures === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error(USAGE)
  process.exitCode = 2
}
