import { GachixError } from '../util/errors.ts'

/** One thing that is wrong with the settings. */
export interface ConfigProblem {
  /** Where it stands: `file:line`, the name of an environment variable, or a flag. */
  readonly where: string
  /** Dotted key (`server.port`), absent when the problem is not about one key (a syntax error). */
  readonly key?: string
  /** What was expected and what was found. */
  readonly message: string
}

/** Problems named in one message; a file of garbage would otherwise fill the screen. */
export const PROBLEMS_SHOWN = 20

/** The settings cannot be used. All problems of all sources are reported at once. */
export class ConfigError extends GachixError {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[], options?: ErrorOptions) {
    super('ERR_CONFIG', describe(problems), options)
    this.problems = problems
  }
}

function describe(problems: readonly ConfigProblem[]): string {
  const lines = [...new Set(problems.map(formatProblem))]
  const [first] = lines
  if (lines.length === 1 && first !== undefined) return first
  const shown = lines.slice(0, PROBLEMS_SHOWN)
  if (lines.length > shown.length) shown.push(`and ${lines.length - shown.length} more`)
  return `the configuration has ${lines.length} problems:\n  ${shown.join('\n  ')}`
}

function formatProblem(problem: ConfigProblem): string {
  return [problem.where, problem.key, problem.message].filter((part) => part !== undefined).join(': ')
}
