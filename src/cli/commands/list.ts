import { Command } from 'commander'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { withReader } from '../operations.ts'

const HELP = `
Prints one store path a line, in order of the hash parts; nothing when the repository is empty.

With --json: an array of {"hash", "path", "narSize" (bytes), "references" (number)}, one object a line.
`

/** `gachix list`. */
export function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('print the packages of the repository')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async ({ json }: JsonOption, command: Command) => {
      await withReader(loadSettings(command, context), context, async (reader) => {
        const packages = reader.list({ signal: context.signal })
        if (json) {
          await context.stdout.jsonArray(packages)
          return
        }
        for await (const { path } of packages) {
          await context.stdout.line(path)
          if (context.stdout.closed) return
        }
      })
    })
}
