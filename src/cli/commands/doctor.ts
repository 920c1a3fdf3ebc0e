import { Command } from 'commander'
import type { LoadedConfig } from '../../config/parse.ts'
import type { Report } from '../../doctor/examine.ts'
import { broken } from '../../doctor/finding.ts'
import { errorCode, errorMessage, GachixError } from '../../util/errors.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { count } from '../format.ts'

const HELP = `
Looks at the settings, the repository and its lock, keys and permissions, room on the disk and the clock, the programs that
are needed, the running node, the Nix daemon, builders, remotes, upstream caches and peers, and whether Nix on this machine uses
the node. Changes nothing. Every finding says what is wrong and what mends it; errors are what does not work, warnings
what could be better.

Exits with 1 when there are errors. Run it as the user of the node and with its settings.

With --json: an array of {"check", "findings": [{"code", "severity", "message", "mend"}]}.
`

/** Something is broken, as the report before says. */
export class UnhealthyError extends GachixError {
  constructor(errors: number) {
    super(
      'ERR_UNHEALTHY',
      `${count(errors, 'thing')} ${errors === 1 ? 'is' : 'are'} broken; see above for the mend`,
    )
  }
}

/** `gachix doctor`. */
export function doctorCommand(context: CliContext): Command {
  return new Command('doctor')
    .description('look for what is wrong, and say what mends it')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async ({ json }: JsonOption, command: Command) => {
      const reports: Report[] = []
      for await (const report of reportsOf(command, context)) {
        reports.push(report)
        if (!json) await context.stdout.write(describe(report))
      }
      if (json) await context.stdout.json(reports)
      const findings = reports.flatMap((report) => report.findings)
      const errors = findings.filter(({ severity }) => severity === 'error').length
      if (errors > 0) throw new UnhealthyError(errors)
    })
}

async function* reportsOf(command: Command, context: CliContext): AsyncGenerator<Report> {
  let loaded: LoadedConfig
  try {
    loaded = loadSettings(command, context)
  } catch (error) {
    if (errorCode(error) !== 'ERR_CONFIG') throw error
    const mend = 'correct them as the message says; gachix config check reads them again'
    yield { check: 'settings', findings: [broken('SETTINGS_WRONG', errorMessage(error), mend)] }
    return
  }
  yield { check: 'settings', findings: [] }
  // Like the server, loaded only by those who need it.
  const { examine } = await import('../../doctor/examine.ts')
  yield* examine({ config: loaded.config, env: context.env, signal: context.signal })
}

function describe({ check, findings }: Report): string {
  if (findings.length === 0) return `ok       ${check}\n`
  return findings
    .map(
      ({ severity, code, message, mend }) =>
        `${severity.padEnd(8)} ${check}: ${message} [${code}]\n         mend: ${mend}\n`,
    )
    .join('')
}
