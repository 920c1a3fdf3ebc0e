import type { Config } from '../config/schema.ts'

/** Something that is not as it should be. */
export interface Finding {
  /** Stable and unique: words in capitals. Never reused for another meaning. */
  readonly code: string
  /** `error`: something does not work. `warning`: it works, but not as one would want, or not for long. */
  readonly severity: 'error' | 'warning'
  /** What is wrong; names the thing. */
  readonly message: string
  /** What to do about it: a command where one does it. */
  readonly mend: string
}

/** What checks look at. */
export interface CheckContext {
  readonly config: Config
  readonly env: Readonly<Record<string, string | undefined>>
  /** The repository's Git directory, `undefined` when there is none. */
  readonly gitDir: string | undefined
  /** Fires when the check has taken too long or the user has had enough. */
  readonly signal: AbortSignal
}

/** Looks at one matter, and changes nothing. */
export interface Check {
  /** One word for the report. */
  readonly name: string
  run(context: CheckContext): AsyncIterable<Finding>
}

/** A finding that something does not work. */
export function broken(code: string, message: string, mend: string): Finding {
  return { code, severity: 'error', message, mend }
}

/** A finding that something could be better. */
export function doubtful(code: string, message: string, mend: string): Finding {
  return { code, severity: 'warning', message, mend }
}
