import { Command } from 'commander'
import type { RemoteCheck } from '../../http/control/sync-api.ts'
import { GachixError } from '../../util/errors.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { count, table } from '../format.ts'
import { withOperations } from '../operations.ts'

const CHECK_HELP = `
Connects to each remote of the settings, or to the ones named (names, or any URL or path of a Git repository), and says
whether packages can be pulled from it and how. Exits with 1 when one cannot be used.

A remote that is not selective sends whole packages where only some files are missing: in its repository
"git config uploadpack.allowFilter true" mends that.
`

/** `gachix remote list|check`. */
export function remoteCommand(context: CliContext): Command {
  return new Command('remote')
    .description('look at the Git remotes and other sources of packages')
    .addCommand(listCommand(context))
    .addCommand(checkCommand(context))
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('print the sources of packages in the order in which they are asked')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption, command: Command) => {
      const sources = await withOperations(loadSettings(command, context), context, (operations) =>
        operations.sources(),
      )
      if (json) await context.stdout.json(sources)
      else if (sources.length === 0)
        context.stderr.write('the settings name no remotes, builders or upstreams\n')
      else {
        const rows = sources.map(({ name, kind, url, requireSignatures, state }) => [
          name,
          kind,
          url,
          requireSignatures ? 'signatures required' : 'BELIEVED WITHOUT SIGNATURES',
          state,
        ])
        await context.stdout.line(table(rows))
      }
    })
}

function checkCommand(context: CliContext): Command {
  return new Command('check')
    .description('say whether remotes can be used, and why not')
    .argument('[remote...]', 'names or URLs; all remotes of the settings by default')
    .option('--json', 'print JSON')
    .addHelpText('after', CHECK_HELP)
    .action(async (remotes: string[], { json }: JsonOption, command: Command) => {
      const checks = await withOperations(loadSettings(command, context), context, (operations) =>
        operations.checkRemotes(remotes, { signal: context.signal }),
      )
      if (json) await context.stdout.json(checks)
      else if (checks.length === 0) context.stderr.write('the settings name no remotes\n')
      else await context.stdout.line(table(checks.map(describe)))
      const broken = checks.find(({ problem }) => problem !== undefined)
      if (broken?.problem !== undefined) throw new GachixError(broken.problem.code, broken.problem.message)
    })
}

function describe({ name, url, works, problem }: RemoteCheck): string[] {
  if (works === undefined) return [name, url, 'cannot be used', problem?.message ?? '']
  const { transport, version, selective, packages, latency } = works
  const how = `${transport}, protocol version ${version}, ${selective ? 'selective' : 'not selective'}`
  return [name, url, 'works', `${how}, ${count(packages, 'package')}, ${latency} ms`]
}
