/** The command line of the mesh benchmark. */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

export const USAGE = `npm run bench:mesh -- --corpus DIR [OPTIONS]

  --corpus DIR      a corpus (a root with its manifest corpus-LIST.json)
  --rounds N        rounds of every figure (3)
  --only TEXT       only contenders whose names contain TEXT
  --no-warm-up      without the round whose results are thrown away
  --profile DIR     have every gachix process leave CPU profiles in DIR, which takes time
  --json FILE       write every sample to FILE
  --markdown FILE   write the report to FILE as well
`

export interface Options {
  readonly corpus: string
  readonly rounds: number
  readonly only?: string
  readonly warmUp: boolean
  readonly profile?: string
  readonly json?: string
  readonly markdown?: string
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
  const { corpus, only, profile, json, markdown } = values
  if (corpus === undefined) throw new UsageError('--corpus DIR is missing')
  const rounds = Number(values.rounds ?? 3)
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new UsageError(`--rounds ${values.rounds}: a number from 1`)
  return {
    corpus: resolve(corpus),
    rounds,
    warmUp: values['no-warm-up'] !== true,
    ...(only !== undefined && { only }),
    ...(profile !== undefined && { profile: resolve(profile) }),
    ...(json !== undefined && { json: resolve(json) }),
    ...(markdown !== undefined && { markdown: resolve(markdown) }),
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        corpus: text,
        rounds: text,
        only: text,
        profile: text,
        json: text,
        markdown: text,
        'no-warm-up': flag,
        help: { ...flag, short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
