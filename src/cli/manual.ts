/** The manual page, made from the command tree, so that it says what `--help` says. */
import type { Command } from 'commander'
import { VERSION } from '../util/version.ts'

/** gachix(1) in the macros of man(7). */
export function manualPage(program: Command): string {
  const commands = program.commands.filter((command) => command.name() !== 'help')
  return [
    `.\\" Made by "gachix manual" from the command tree. Do not edit.`,
    `.TH GACHIX 1 "" "gachix ${VERSION}" "User Commands"`,
    '.SH NAME',
    `gachix \\- ${toRoff(program.description().replace(/\.$/, '').replace(/^A /, 'a '))}`,
    '.SH SYNOPSIS',
    '.B gachix',
    toRoff(synopsis(program)),
    '.SH OPTIONS',
    'These go before or after the command.',
    ...optionLines(program),
    '.SH COMMANDS',
    ...commands.flatMap((command) => commandLines(command, 'gachix')),
    ...sections(afterHelp(program)),
    '.SH SEE ALSO',
    '.BR nix.conf (5),',
    '.BR git (1)',
    '',
  ].join('\n')
}

function commandLines(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`
  if (command.commands.length > 0) {
    const children = command.commands.filter((child) => child.name() !== 'help')
    return children.flatMap((child) => commandLines(child, name))
  }
  const after = afterHelp(command)
  return [
    `.SS "${toRoff(`${name} ${synopsis(command)}`.trim())}"`,
    toRoff(`${command.description()[0]!.toUpperCase()}${command.description().slice(1)}.`),
    ...argumentLines(command),
    ...optionLines(command),
    ...(after === '' ? [] : ['.PP', ...preformatted(after)]),
  ]
}

/** What follows the name: options and arguments. */
function synopsis(command: Command): string {
  return command.usage()
}

function argumentLines(command: Command): string[] {
  const help = command.createHelp()
  return help
    .visibleArguments(command)
    .flatMap((argument) => item(help.argumentTerm(argument), help.argumentDescription(argument)))
}

function optionLines(command: Command): string[] {
  const help = command.createHelp()
  return help
    .visibleOptions(command)
    .flatMap((option) => item(help.optionTerm(option), help.optionDescription(option)))
}

function item(term: string, description: string): string[] {
  return ['.TP', `.B ${toRoff(term)}`, toRoff(description)]
}

/** Text that a command adds to its help, without the part that commander makes. */
function afterHelp(command: Command): string {
  let text = ''
  const configuration = command.configureOutput()
  command.configureOutput({ ...configuration, writeOut: (part) => (text += part) })
  command.outputHelp()
  command.configureOutput(configuration)
  return text.slice(command.helpInformation().length).trim()
}

/** `Heading:` at the beginning of a line, alone on it, opens a section. */
function sections(text: string): string[] {
  const parts = text.split(/^([A-Z][a-z]+(?: [a-z]+)*):\n/m)
  const [first, ...rest] = parts
  const lines = first!.trim() === '' ? [] : ['.SH NOTES', ...preformatted(first!)]
  for (let at = 0; at < rest.length; at += 2) {
    lines.push(`.SH ${rest[at]!.toUpperCase()}`, ...preformatted(rest[at + 1]!))
  }
  return lines
}

/** Lines as they stand, for columns and examples. */
function preformatted(text: string): string[] {
  const lines = text.replace(/^\n+|\s+$/g, '').split('\n')
  return ['.nf', ...lines.map(toRoff), '.fi']
}

/** Characters that mean something to roff, and those beyond ASCII that old ones lack. */
function toRoff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll('"', '\\(dq')
    .replace(/^([.'])/, '\\&$1')
}
