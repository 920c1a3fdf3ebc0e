/** The command line of the benchmark. */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

export const USAGE = `npm run bench -- [OPTIONS]

  --corpus DIR           measure the corpus in DIR (a root with its manifest corpus-LIST.json);
                         without it, packages made of this machine's files
  --generation A|B|both  which of the corpus (both)
  --rounds N             rounds of every figure (5; with --quick 3)
  --json FILE            write every sample to FILE
  --scale N              a repository of N small packages as well: start, look-up, list, memory, mesh
  --large                packages of 200,000 files and of a file of 10 GB as well: first and later requests
  --adding               what requests to a node wait for that adds packages meanwhile as well
  --only-extra           nothing but --scale, --large and --adding
  --xz                   beside nix copy with xz too, which takes longer than all else
  --check FILE           fail where the best round is worse than the worst one of an earlier run (its --json) of the same
                         packages: by 3 % (sizes), 25 % (CPU, memory), 40 % (times but p95, p99, max); README.md has the rule
  --quick                less of everything: says whether all works, not how fast
  --profile DIR          measure nothing; profile the product at the same work and keep the profiles in DIR
`

export interface Options {
  readonly corpus?: string
  readonly generation: 'A' | 'B' | 'both'
  readonly rounds: number
  readonly json?: string
  readonly check?: string
  readonly scale?: number
  readonly large: boolean
  readonly adding: boolean
  readonly onlyExtra: boolean
  readonly quick: boolean
  readonly xz: boolean
  readonly profile?: string
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
  const generation = values.generation ?? 'both'
  if (generation !== 'A' && generation !== 'B' && generation !== 'both') {
    throw new UsageError(`--generation ${generation}: A, B or both`)
  }
  if (values.generation !== undefined && values.corpus === undefined) {
    throw new UsageError('--generation is of a corpus: name it by --corpus DIR')
  }
  const quick = values.quick ?? false
  if (values.check !== undefined && (values['only-extra'] || values.profile !== undefined))
    throw new UsageError('--check compares what --only-extra and --profile leave out')
  const rounds = Number(values.rounds ?? (quick ? 3 : 5))
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new UsageError(`--rounds ${values.rounds}: a number from 1`)
  const scale = values.scale === undefined ? undefined : Number(values.scale)
  if (scale !== undefined && (!Number.isInteger(scale) || scale < 1))
    throw new UsageError(`--scale ${values.scale}: a number from 1`)
  return {
    ...(values.corpus === undefined ? {} : { corpus: resolve(values.corpus) }),
    ...(values.json === undefined ? {} : { json: resolve(values.json) }),
    ...(values.check === undefined ? {} : { check: resolve(values.check) }),
    ...(scale === undefined ? {} : { scale }),
    ...(values.profile === undefined ? {} : { profile: resolve(values.profile) }),
    generation,
    rounds,
    quick,
    xz: values.xz ?? false,
    large: values.large ?? false,
    adding: values.adding ?? false,
    onlyExtra: values['only-extra'] ?? false,
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
        generation: text,
        rounds: text,
        json: text,
        check: text,
        scale: text,
        profile: text,
        quick: flag,
        large: flag,
        adding: flag,
        'only-extra': flag,
        xz: flag,
        help: { ...flag, short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
