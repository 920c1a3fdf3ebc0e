/**
 * Reads the settings file as far as it is YAML: which key has which plain value on which line. What the keys mean is the
 * table's business (`schema.ts`).
 *
 * Of YAML only what settings need is taken: one document, one mapping of sections, scalars and lists. Anchors with
 * aliases, merge keys and tags of other types have no use here and are refused, which also takes their bombs away.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLError } from 'yaml'
import { redactLine } from '../util/log.ts'
import type { ConfigProblem } from './errors.ts'
import { SECTIONS } from './schema.ts'

/** Bytes of a settings file; far above what all settings take, far below what parsing would hurt at. */
export const MAX_FILE_SIZE = 64 * 1024
export const TOO_LARGE = `larger than the ${MAX_FILE_SIZE} bytes that settings may take`

/** A value of the file with the lines that it and, for a list, each of its items stand on. */
export interface FileValue {
  readonly key: string
  /**
   * A scalar or a list. Items of a list are scalars, or mappings whose values are scalars or lists of scalars. Where
   * anything else stands, a symbol says what it is.
   */
  readonly value: unknown
  readonly line: number
  readonly itemLines: readonly number[]
}

export interface FileValues {
  readonly values: readonly FileValue[]
  readonly problems: readonly ConfigProblem[]
}

const NESTED_TOO_DEEPLY = 'nested too deeply'

/**
 * Splits the text into keys and values. Never throws: what is wrong is in `problems`, with a line.
 */
export function readFileValues(text: string, fileName: string): FileValues {
  const values: FileValue[] = []
  const problems: ConfigProblem[] = []
  if (Buffer.byteLength(text) > MAX_FILE_SIZE) {
    problems.push({
      where: fileName,
      message: TOO_LARGE,
    })
    return { values, problems }
  }
  const lineCounter = new LineCounter()
  const lineOf = (offset: number | undefined) => lineCounter.linePos(offset ?? 0).line || 1
  const report = (line: number, message: string, key?: string) =>
    problems.push({ where: `${fileName}:${line}`, message, ...(key !== undefined && { key }) })

  const root = parseRoot(text, lineCounter, (offset, message) => report(lineOf(offset), message))
  if (root === undefined) return { values, problems }

  function readMapping(node: Node | null, prefix: string, line: number): void {
    if (node === null || (isScalar(node) && node.value === null)) return
    if (!isMap(node)) {
      const what = prefix === '' ? 'the file' : prefix.slice(0, -1)
      report(line, `${what}: expected settings as "key: value" lines, got ${nodeKind(node)}`)
      return
    }
    const seen = new Map<string, number>()
    for (const pair of node.items) {
      const keyNode = pair.key as Node | null
      const keyLine = lineOf(keyNode?.range?.[0] ?? node.range?.[0])
      if (!isScalar(keyNode) || typeof keyNode.value !== 'string' || keyNode.value === '') {
        report(keyLine, `expected the name of a setting, got ${describeKey(keyNode)}`)
        continue
      }
      const key = prefix + keyNode.value
      const firstLine = seen.get(key)
      if (firstLine !== undefined) {
        report(keyLine, `set twice, first on line ${firstLine}`, key)
        continue
      }
      seen.set(key, keyLine)
      const valueNode = pair.value as Node | null
      if (SECTIONS.has(key)) readMapping(valueNode, `${key}.`, keyLine)
      else values.push(readValue(key, valueNode, keyLine))
    }
  }

  function readValue(key: string, node: Node | null, line: number): FileValue {
    const items = isSeq(node) ? (node.items as (Node | null)[]) : []
    return {
      key,
      value: plainValue(node),
      line,
      itemLines: items.map((item) => lineOf(item?.range?.[0])),
    }
  }

  readMapping(root, '', 1)
  return { values, problems }
}

/** The document's root node; `undefined` after reporting why there is none. */
function parseRoot(
  text: string,
  lineCounter: LineCounter,
  report: (offset: number, message: string) => void,
): Node | null | undefined {
  try {
    const document = parseDocument(text, {
      lineCounter,
      prettyErrors: false,
      // Compared pair by pair, in time that grows with the square of their number; readMapping does it by name.
      uniqueKeys: false,
      merge: false,
    })
    const faults = [...document.errors, ...document.warnings]
    for (const fault of faults) report(fault.pos[0], faultMessage(fault))
    return faults.length > 0 ? undefined : document.contents
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    report(0, NESTED_TOO_DEEPLY)
    return undefined
  }
}

/** The parser calls itself once a level, and reports the end of the stack as a fault of the text or throws it. */
function faultMessage({ code, message }: YAMLError): string {
  if (/call stack/i.test(message)) return NESTED_TOO_DEEPLY
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here; settings are one document'
  const line = message.split('\n', 1)[0]!
  return line.charAt(0).toLowerCase() + line.slice(1)
}

/** The items of a list in YAML's flow form (`[a, {url: b}]`) as `FileValue` has them; `undefined` when it is none. */
export function readFlowList(text: string): unknown[] | undefined {
  if (Buffer.byteLength(text) > MAX_FILE_SIZE) return undefined
  const root = parseRoot(text, new LineCounter(), () => {})
  return root !== undefined && isSeq(root)
    ? root.items.map((item) => plainItem(item as Node | null))
    : undefined
}

function plainValue(node: Node | null): unknown {
  return isSeq(node) ? node.items.map((item) => plainItem(item as Node | null)) : plainScalar(node)
}

function plainItem(node: Node | null): unknown {
  if (!isMap(node)) return plainScalar(node)
  const mapping: Record<string, unknown> = Object.create(null)
  for (const pair of node.items) {
    const [key, value] = [pair.key as Node | null, pair.value as Node | null]
    if (!isScalar(key) || typeof key.value !== 'string')
      return Symbol(`a mapping with ${describeKey(key)} as a key`)
    if (key.value in mapping) return Symbol(`a mapping with two values for ${describeValue(key.value)}`)
    mapping[key.value] = isSeq(value)
      ? value.items.map((item) => plainScalar(item as Node | null))
      : plainScalar(value)
  }
  return mapping
}

function plainScalar(node: Node | null): unknown {
  if (node === null) return null
  return isScalar(node) ? node.value : Symbol(nodeKind(node))
}

function nodeKind(node: Node): string {
  if (isSeq(node)) return 'a list'
  if (isAlias(node)) return 'an alias'
  return isMap(node) ? 'a mapping' : 'a single value'
}

function describeKey(node: Node | null): string {
  if (node === null) return 'nothing'
  return isScalar(node) ? describeValue(node.value) : nodeKind(node)
}

/** A value as a message shows it: quoted, on one line, cut at 60 characters, without the secrets that it may hold. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (typeof value === 'symbol') return value.description ?? 'a symbol'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    return typeof value
  const text = typeof value === 'string' ? JSON.stringify(redactLine(value)) : String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
