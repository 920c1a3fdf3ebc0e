import '../util/slabs.ts'
import type { CliContext } from './context.ts'
import { EXIT_OK, type Failure, failureOf } from './failure.ts'
import { Output } from './output.ts'
import { createProgram } from './program.ts'
import { type Interruption, watchSignals } from './signals.ts'

/** Runs the command of this process's arguments and ends the process with its exit code. */
export async function runProcess(): Promise<void> {
  const interruption = watchSignals()
  const context: CliContext = {
    stdout: new Output(process.stdout),
    stderr: process.stderr,
    env: process.env,
    signal: interruption.signal,
  }
  // A terminal that is gone must not turn the end of a command into a crash.
  process.stderr.on('error', () => {})
  process.exit(await run(process.argv.slice(2), context, interruption))
}

/**
 * @param args the arguments after the program's name
 * @returns the exit code
 */
export async function run(
  args: readonly string[],
  context: CliContext,
  interruption: Interruption,
): Promise<number> {
  try {
    await createProgram(context).parseAsync(args, { from: 'user' })
    await context.stdout.flush()
    return EXIT_OK
  } catch (error) {
    const failure = failureOf(error, interruption.number)
    if (failure !== undefined) await report(failure, args, context)
    await context.stdout.flush().catch(() => {})
    return failure?.exitCode ?? EXIT_OK
  }
}

/**
 * People read standard error. With `--json` the failure is also the one JSON value on standard output, unless a result
 * has begun there.
 */
async function report(failure: Failure, args: readonly string[], context: CliContext): Promise<void> {
  const { code, message, stack } = failure
  context.stderr.write(`gachix: ${message} [${code}]\n`)
  if (stack !== undefined) context.stderr.write(`this is a defect of gachix, please report it:\n${stack}\n`)
  if (hasJsonOption(args) && !context.stdout.used) {
    await context.stdout.json({ error: { code, message } }).catch(() => {})
  }
}

function hasJsonOption(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end === -1 ? args.length : end).includes('--json')
}
