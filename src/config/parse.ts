/**
 * Puts the settings together from their sources, later ones winning: defaults, file, environment, flags. Pure: text and
 * maps in, `LoadedConfig` or `ConfigError` out.
 */
import type { z } from 'zod'
import { redactLine } from '../util/log.ts'
import { ConfigError, type ConfigProblem, PROBLEMS_SHOWN } from './errors.ts'
import { nearest } from './nearest.ts'
import {
  assembleConfig,
  type Config,
  ENVIRONMENT_PREFIX,
  environmentName,
  SECTIONS,
  SETTING_LIST,
  type Setting,
} from './schema.ts'
import { nameSources, type SourceSetting } from './sources.ts'
import type { Kind, Shape } from './values.ts'
import { describeValue, type FileValue, readFileValues, readFlowList } from './yaml.ts'

/** Where an effective value comes from. */
export type Origin =
  | { readonly from: 'default' }
  | { readonly from: 'file'; readonly file: string; readonly line: number }
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'flag'; readonly name: string }

export interface LoadedConfig {
  readonly config: Config
  /** For each key of the table. */
  readonly origins: ReadonlyMap<string, Origin>
  /** For each key of the table, the value as the file would have it. */
  readonly values: ReadonlyMap<string, unknown>
}

/** A setting given on the command line. */
export interface Override {
  readonly key: string
  /** As typed; read like the text of an environment variable. */
  readonly text: string
  /** For messages: `--port`. */
  readonly flag: string
}

export type Environment = Readonly<Record<string, string | undefined>>

const SETTINGS_BY_KEY: ReadonlyMap<string, Setting<unknown>> = new Map(
  SETTING_LIST.map(({ key, setting }) => [key, setting]),
)
const KEYS = [...SETTINGS_BY_KEY.keys()]
const SOURCE_KEYS = ['store.builders', 'store.remotes', 'store.upstreams']
const KEYS_BY_VARIABLE: ReadonlyMap<string, string> = new Map(KEYS.map((key) => [environmentName(key), key]))

/**
 * @param text contents of the settings file, `undefined` when there is none
 * @param fileName name of that file for messages and origins
 * @throws ConfigError with every problem of every source
 */
export function parseConfig(
  text: string | undefined,
  fileName: string,
  env: Environment = {},
  overrides: readonly Override[] = [],
): LoadedConfig {
  const values = new Map<string, unknown>()
  const origins = new Map<string, Origin>()
  for (const { key, setting } of SETTING_LIST) {
    values.set(key, setting.default)
    origins.set(key, { from: 'default' })
  }
  const problems: ConfigProblem[] = []

  function take(entry: FileValue, origin: Origin, whereOf: (line: number) => string): void {
    const { kind } = SETTINGS_BY_KEY.get(entry.key)!
    const result = kind.schema.safeParse(entry.value)
    if (result.success) {
      values.set(entry.key, result.data)
      origins.set(entry.key, origin)
      return
    }
    for (const issue of result.error.issues) {
      const [index] = issue.path
      const line = typeof index === 'number' ? entry.itemLines[index] : undefined
      problems.push({ where: whereOf(line ?? entry.line), ...explainIssue(issue, entry, kind) })
    }
  }

  if (text !== undefined) {
    const file = readFileValues(text, fileName)
    problems.push(...file.problems)
    for (const entry of file.values) {
      const { key, line } = entry
      if (!SETTINGS_BY_KEY.has(key)) {
        // Looking for a suggestion takes time, and a file of thousands of such keys is no settings file.
        const message = problems.length < PROBLEMS_SHOWN ? unknownKey(key) : 'unknown key'
        problems.push({ where: `${fileName}:${line}`, key, message })
      } else if (entry.value !== null) {
        take(entry, { from: 'file', file: fileName, line }, (at) => `${fileName}:${at}`)
      }
    }
  }

  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(ENVIRONMENT_PREFIX) || value === undefined) continue
    const key = KEYS_BY_VARIABLE.get(name)
    if (key === undefined) problems.push({ where: name, message: unknownVariable(name) })
    else take(textEntry(key, value), { from: 'env', name }, () => name)
  }

  for (const { key, text: value, flag } of overrides) {
    take(textEntry(key, value), { from: 'flag', name: flag }, () => flag)
  }

  const { named, conflicts } = nameSources(
    new Map(SOURCE_KEYS.map((key) => [key, values.get(key) as readonly SourceSetting[]])),
  )
  for (const [key, list] of named) values.set(key, list)
  for (const { key, index, name, other } of conflicts) {
    const where = formatOrigin(origins.get(key)!)
    problems.push({
      where,
      key: `${key}[${index}].name`,
      message: `${describeValue(name)} is ${other} already`,
    })
  }

  if (problems.length > 0) throw new ConfigError(problems)
  const shown = SETTING_LIST.map(({ key, setting: { kind } }): [string, unknown] => {
    const value = values.get(key)
    return [key, kind.show === undefined ? value : kind.show(value)]
  })
  return { config: assembleConfig(values), origins, values: new Map(shown) }
}

/** `default`, `gachix.yaml:3`, `env GACHIX__SERVER__PORT` or `flag --port`. */
export function formatOrigin(origin: Origin): string {
  switch (origin.from) {
    case 'default':
      return 'default'
    case 'file':
      return `${origin.file}:${origin.line}`
    default:
      return `${origin.from} ${origin.name}`
  }
}

/** What the schema finds wrong in a value, in words. */
function explainIssue(
  issue: z.core.$ZodIssue,
  { key, value }: FileValue,
  kind: Kind<unknown>,
): { readonly key: string; readonly message: string } {
  const [index, field, nested] = issue.path
  if (typeof index !== 'number') return { key, message: expectation(kind.expected, value) }
  const item = (value as unknown[])[index]
  const itemKey = `${key}[${index}]`
  if (issue.code === 'custom' && issue.params?.said === true) {
    const place = typeof field === 'string' ? `${itemKey}.${field}[${String(nested)}]` : itemKey
    return { key: place, message: redactLine(issue.message) }
  }
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys[0]!
    const suggestion = nearest(unknown, Object.keys(kind.expectedField ?? {}))
    const hint = suggestion === undefined ? '' : `, did you mean ${suggestion}?`
    return { key: itemKey, message: `unknown key ${describeValue(unknown)}${hint}` }
  }
  if (typeof field !== 'string' || typeof item !== 'object' || item === null) {
    return { key: itemKey, message: expectation(kind.expectedItem ?? kind.expected, item) }
  }
  const found = (item as Record<string, unknown>)[field]
  const expected = kind.expectedField?.[field] ?? kind.expected
  if (typeof nested !== 'number') return { key: `${itemKey}.${field}`, message: expectation(expected, found) }
  const message = `expected text, got ${describeValue((found as unknown[])[nested])}`
  return { key: `${itemKey}.${field}[${nested}]`, message }
}

function expectation(expected: string, found: unknown): string {
  return `expected ${expected}, got ${describeValue(found)}`
}

function textEntry(key: string, text: string): FileValue {
  const setting = SETTINGS_BY_KEY.get(key)
  if (setting === undefined) throw new TypeError(`no setting has the key ${key}`)
  return { key, value: fromText(text, setting.kind.shape), line: 0, itemLines: [] }
}

/** Text that does not look like the shape stays text, so that the message shows it as it was written. */
function fromText(text: string, shape: Shape): unknown {
  switch (shape) {
    case 'number':
      return /^[+-]?[0-9]{1,15}$/.test(text) ? Number(text) : text
    case 'boolean':
      if (/^(true|yes|on|1)$/i.test(text)) return true
      return /^(false|no|off|0)$/i.test(text) ? false : text
    case 'list':
      if (text.trimStart().startsWith('[')) return readFlowList(text) ?? text
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '')
    case 'text':
      return text
  }
}

function unknownKey(key: string): string {
  const suggestion = nearest(key, [...KEYS, ...SECTIONS])
  if (suggestion !== undefined) return `unknown key, did you mean ${suggestion}?`
  return `unknown key; see gachix config show for all of them`
}

function unknownVariable(name: string): string {
  const words = name.slice(ENVIRONMENT_PREFIX.length).toLowerCase().replaceAll('__', '.')
  const suggestion = nearest(words, KEYS)
  if (suggestion !== undefined) return `unknown variable, did you mean ${environmentName(suggestion)}?`
  return `unknown variable; those that begin with ${ENVIRONMENT_PREFIX} are settings of gachix`
}
