/** A settings file that names every key with its default, unit and meaning, made from the table of settings. */
import { environmentName, SETTING_LIST, type Setting } from './schema.ts'

const HEADING = `# Every setting of gachix with its default. Made by "gachix config example".
#
# Leave out what is as you want it. A variable, named beside each key, wins over the file, and an option over both.
# Relative paths mean the working directory of the process.
`
/** Columns of a comment. */
const WIDTH = 110

/** YAML that has the effect of no file at all. */
export function exampleSettings(): string {
  let text = HEADING
  let section = ''
  for (const { key, setting } of SETTING_LIST) {
    const [name, ...sections] = key.split('.').reverse()
    const current = sections.reverse().join('.')
    const indent = current === '' ? '' : '  '
    text += current === section ? '\n' : `\n${current}:\n`
    section = current
    text += comment(setting.description, indent)
    text += comment(facts(key, setting), indent)
    text += `${indent}${name}: ${defaultOf(setting)}`.trimEnd()
    text += '\n'
  }
  return text
}

function facts(key: string, { kind, unit }: Setting<unknown>): string {
  const expected = `${kind.expected[0]!.toUpperCase()}${kind.expected.slice(1)}`
  return [expected, ...(unit === undefined ? [] : [`unit: ${unit}`]), environmentName(key)].join('; ')
}

function defaultOf(setting: Setting<unknown>): string {
  if (setting.default === undefined) return ''
  const shown = setting.kind.show === undefined ? setting.default : setting.kind.show(setting.default)
  return typeof shown === 'string' ? shown : JSON.stringify(shown)
}

function comment(text: string, indent: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + 2 + line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map((words) => `${indent}# ${words}\n`).join('')
}
