import { GachixError } from '../util/errors.ts'

/** One setting of a Git configuration file. */
export interface GitSetting {
  /** `section.name` or `section.subsection.name`; section and name in lower case, as Git compares them. */
  readonly key: string
  /** `true` where the name stands alone. */
  readonly value: string
}

/** A line in a Git configuration file that Git itself would refuse. */
export class GitConfigError extends GachixError {
  constructor(source: string, line: number) {
    super('ERR_GIT_CONFIG', `${source}: line ${line} is not a line of a Git configuration`)
  }
}

const SECTION = /\[[ \t]*([0-9A-Za-z.-]+)(?:[ \t]+"((?:[^"\\\n]|\\[^\n])*)")?[ \t]*\]/y
const NAME = /([A-Za-z][0-9A-Za-z-]*)[ \t]*/y
const BLANK = /(?:[ \t\r\n]|[#;][^\n]*)*/y
const END_OF_LINE = /[ \t\r]*(?:[#;][^\n]*)?(?:\n|$)/y
const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  b: '\b',
  '\\': '\\',
  '"': '"',
  '\n': '',
}

/**
 * Reads the settings of a Git configuration file (`git-config(1)`, "Syntax") in their order. Includes are not followed.
 * isomorphic-git answers for a key that one knows; finding extensions that nobody knows takes them all.
 *
 * @param source how error messages name the file
 * @throws GitConfigError
 */
export function readGitConfig(text: string, source: string): GitSetting[] {
  const settings: GitSetting[] = []
  let section: string | undefined
  let at = text.startsWith('\ufeff') ? 1 : 0
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text) ?? undefined
    if (found !== undefined) at = pattern.lastIndex
    return found
  }
  const fail = (): GitConfigError => new GitConfigError(source, text.slice(0, at).split('\n').length)
  for (;;) {
    match(BLANK)
    if (at >= text.length) return settings
    const header = match(SECTION)
    if (header !== undefined) {
      const [, name = '', subsection] = header
      section = name.toLowerCase()
      if (subsection !== undefined) section += `.${subsection.replace(/\\(.)/g, '$1')}`
      continue
    }
    const name = match(NAME)?.[1]
    if (name === undefined || section === undefined) throw fail()
    const key = `${section}.${name.toLowerCase()}`
    if (text[at] === '=') {
      const value = readValue(text, at + 1)
      if (value === undefined) throw fail()
      settings.push({ key, value: value.text })
      at = value.end
    } else if (match(END_OF_LINE) !== undefined) {
      settings.push({ key, value: 'true' })
    } else {
      throw fail()
    }
  }
}

/** The value that begins here; `undefined` for an unknown escape or an open quotation mark. */
function readValue(text: string, start: number): { text: string; end: number } | undefined {
  let value = ''
  /** Length of the value without white space at its end. */
  let length = 0
  let quoted = false
  let at = start
  for (; at < text.length && text[at] !== '\n'; at++) {
    const character = text.charAt(at)
    if (character === '\\') {
      const next = text.startsWith('\r\n', at + 1) ? '\n' : text.charAt(at + 1)
      const escaped = ESCAPES[next]
      if (escaped === undefined) return undefined
      at += next === '\n' && text[at + 1] === '\r' ? 2 : 1
      value += escaped
      if (escaped !== '') length = value.length
    } else if (character === '"') {
      quoted = !quoted
      length = value.length
    } else if (!quoted && (character === '#' || character === ';')) {
      const newline = text.indexOf('\n', at)
      return { text: value.slice(0, length), end: newline < 0 ? text.length : newline }
    } else if (!quoted && /\s/.test(character)) {
      if (value !== '') value += character
    } else {
      value += character
      length = value.length
    }
  }
  return quoted ? undefined : { text: value.slice(0, length), end: at }
}
