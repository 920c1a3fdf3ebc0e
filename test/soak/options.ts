/** The command line of the soak. */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

export const USAGE = `npm run soak -- [OPTIONS]

  --minutes N   how long the nodes are kept busy (20); joining, settling and checking come on top
  --seed N      repeats the choices of a run (its report names the seed)
  --out DIR     where the report goes: soak.json, soak.md and the logs of the nodes (test/.work/soak)
`

export interface Options {
  readonly minutes: number
  readonly seed: number
  readonly out: string
}

/** What is wrong with the command line. */
export class UsageError extends Error {}

/**
 * @returns the options; `undefined` when help is asked for
 * @throws UsageError
 */
export function parseOptions(args: readonly string[]): Options | undefined {
  const values = parse(args)
  if (values.help === true) return undefined
  const minutes = Number(values.minutes ?? 20)
  if (!(minutes > 0)) throw new UsageError(`--minutes ${values.minutes}: a number above 0`)
  const seed = Number(values.seed ?? Date.now() % 1_000_000)
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError(`--seed ${values.seed}: a whole number`)
  return { minutes, seed, out: resolve(values.out ?? 'test/.work/soak') }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...args],
      options: { minutes: text, seed: text, out: text, help: { type: 'boolean', short: 'h' } },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
