import { accessSync, constants } from 'node:fs'
import { Command } from 'commander'
import { ConfigError, type ConfigProblem } from '../../config/errors.ts'
import { exampleSettings } from '../../config/example.ts'
import { formatOrigin, type LoadedConfig } from '../../config/parse.ts'
import { environmentName, SETTING_LIST } from '../../config/schema.ts'
import { findSigningKey } from '../../signing-key.ts'
import { errorMessage } from '../../util/errors.ts'
import { redactLine } from '../../util/log.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'

/** `gachix config check|show|example`. */
export function configCommand(context: CliContext): Command {
  return new Command('config')
    .description('check and show the settings')
    .addCommand(checkCommand(context))
    .addCommand(showCommand(context))
    .addCommand(exampleCommand(context))
}

function checkCommand(context: CliContext): Command {
  return new Command('check')
    .description('check the settings and the files that they name')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nEvery problem is named with file, line and key (exit code 2). With --json: {"ok": true}.\n',
    )
    .action(async ({ json }: JsonOption, command: Command) => {
      const loaded = loadSettings(command, context)
      const problems = fileProblems(loaded)
      if (problems.length > 0) throw new ConfigError(problems)
      await (json ? context.stdout.json({ ok: true }) : context.stdout.line('the settings are right'))
    })
}

/** Faults of the key files that the settings name. */
function fileProblems({ config, origins }: LoadedConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const attempt = (key: string, check: () => unknown) => {
    try {
      check()
    } catch (error) {
      const origin = origins.get(key)
      problems.push({ where: origin ? formatOrigin(origin) : key, key, message: errorMessage(error) })
    }
  }
  attempt('store.sign_private_key_path', () => findSigningKey(config, undefined))
  const { sshPrivateKeyPath } = config.store
  if (sshPrivateKeyPath !== undefined) {
    attempt('store.ssh_private_key_path', () => accessSync(sshPrivateKeyPath, constants.R_OK))
  }
  return problems
}

function exampleCommand(context: CliContext): Command {
  return new Command('example')
    .description('print a settings file with every key, its default, unit and meaning')
    .action(async () => context.stdout.write(exampleSettings()))
}

const SHOW_HELP = `
The output is a settings file that has the same effect, with the origin of each value: default, file and line, variable or
option. Passwords in URLs are hidden.

With --json: for each key {"value", "origin", "variable", "unit", "description"}.
`

function showCommand(context: CliContext): Command {
  return new Command('show')
    .description('print the effective settings and where each comes from')
    .option('--json', 'print JSON')
    .addHelpText('after', SHOW_HELP)
    .action(async ({ json }: JsonOption, command: Command) => {
      const loaded = loadSettings(command, context)
      await (json ? context.stdout.json(asJson(loaded)) : context.stdout.write(asYaml(loaded)))
    })
}

/** Effective values of all keys; strings without the secrets that URLs may carry. */
function* effective({ values, origins }: LoadedConfig) {
  for (const { key, setting } of SETTING_LIST) {
    const value = JSON.stringify(values.get(key) ?? null)
    yield { key, setting, value: redactLine(value), origin: formatOrigin(origins.get(key)!) }
  }
}

function asJson(loaded: LoadedConfig): Record<string, unknown> {
  return Object.fromEntries(
    Array.from(effective(loaded), ({ key, setting, value, origin }) => [
      key,
      {
        value: JSON.parse(value) as unknown,
        origin,
        variable: environmentName(key),
        unit: setting.unit ?? null,
        description: setting.description,
      },
    ]),
  )
}

/** JSON values are YAML values. */
function asYaml(loaded: LoadedConfig): string {
  let section = ''
  let text = ''
  for (const { key, value, origin } of effective(loaded)) {
    const [name, ...sections] = key.split('.').reverse()
    const current = sections.join('.')
    if (current !== section) text += `${current}:\n`
    section = current
    const line = `${current === '' ? '' : '  '}${name}: ${value === 'null' ? '' : value}`
    text += `${line.trimEnd().padEnd(40)} # ${origin}\n`
  }
  return text
}
