import { CommanderError } from 'commander'
import { errorCode, errorMessage, GachixError } from '../util/errors.ts'

export const EXIT_OK = 0
export const EXIT_FAILURE = 1
export const EXIT_USAGE = 2

/** The command line is wrong: an unknown command or option, a missing or impossible argument. */
export class UsageError extends GachixError {
  constructor(message: string) {
    super('ERR_USAGE', message)
  }
}

/** What a failed command tells the shell, people and scripts. */
export interface Failure {
  readonly exitCode: number
  readonly code: string
  readonly message: string
  /** Where a defect of ours was thrown. */
  readonly stack?: string
}

/**
 * @param interruptedBy number of the signal that stopped the command, if one did
 * @returns `undefined` when the error is only commander's way to end after `--help` or `--version`
 */
export function failureOf(error: unknown, interruptedBy?: number): Failure | undefined {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return undefined
    const message = error.code === 'commander.help' ? 'a command is needed; see above' : error.message
    return {
      exitCode: EXIT_USAGE,
      code: 'ERR_USAGE',
      message: message.replace(/^error: /, '').replaceAll('\n', ' '),
    }
  }
  const code = errorCode(error)
  const message = errorMessage(error)
  if (interruptedBy !== undefined)
    return { exitCode: 128 + interruptedBy, code: 'ERR_ABORTED', message: 'interrupted' }
  if (code === 'ERR_CONFIG' || code === 'ERR_USAGE') return { exitCode: EXIT_USAGE, code, message }
  const isDefect = code === 'ERR_INTERNAL' && error instanceof Error && error.stack !== undefined
  return { exitCode: EXIT_FAILURE, code, message, ...(isDefect && { stack: error.stack }) }
}
