import { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { manualPage } from '../manual.ts'

/** `gachix manual`. */
export function manualCommand(context: CliContext, program: Command): Command {
  return new Command('manual')
    .description('print the manual page')
    .addHelpText('after', '\nIn the form that man reads: gachix manual | man -l -\n')
    .action(async () => context.stdout.write(manualPage(program)))
}
