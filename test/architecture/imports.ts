/** The layers of ARCHITECTURE.md as rules over the imports of source files. */
import { builtinModules } from 'node:module'
import { dirname, join, normalize } from 'node:path/posix'

/** Source text by path from the checkout, with forward slashes. */
export type Sources = ReadonlyMap<string, string>

/** Parts by row. A file imports from its own part and from parts of rows above (with a smaller number). */
const ROWS: readonly (readonly string[])[] = [
  ['protocol', 'src/util'],
  ['src/nix', 'src/git'],
  ['src/store'],
  ['src/ingest', 'src/peers'],
  ['src/sync', 'src/http'],
  ['src/config', 'src'],
  ['src/doctor'],
  ['src/cli'],
]

/** The composition root (the files in `src/` itself) reads the settings: the one import between two parts of a row. */
const ALLOWED = new Set(['src -> src/config'])

/** Parts that compute only, and the built-in modules of Node that do no I/O. */
const PURE = new Set(['protocol', 'src/nix'])
const PURE_BUILTINS = new Set(['assert', 'buffer', 'crypto', 'util', 'zlib'].map((name) => `node:${name}`))

/** Lines. */
export const LONGEST_FILE = 400

/** What a file imports, in whatever way, as it is written. */
export function importsOf(source: string): string[] {
  const code = withoutComments(source)
  const found: string[] = []
  const patterns = [
    /\b(?:import|export)\s+(?:type\s+)?[\w$*{][^'"`;]*?\bfrom\s*(['"])(.+?)\1/g,
    /\bimport\s*(['"])(.+?)\1/g,
    /\b(?:import|require)\s*\(\s*(['"`])(.+?)\1/g,
    /\bnew\s+URL\(\s*(['"])(\.{1,2}\/.+?\.[jt]s)\1\s*,\s*import\.meta\.url/g,
  ]
  for (const pattern of patterns) {
    for (const [, , specifier] of code.matchAll(pattern)) found.push(specifier!)
  }
  return found
}

/** Every violation of the rules, one a line of text; none when all is well. */
export function violations(sources: Sources): string[] {
  const found: string[] = []
  const graph = new Map<string, string[]>()
  for (const [file, source] of sources) {
    const part = partOf(file)
    const lines = source.split('\n').length - 1
    if (lines > LONGEST_FILE) found.push(`${file} has ${lines} lines, more than ${LONGEST_FILE}`)
    if (part === undefined) {
      found.push(`${file} belongs to no part of the architecture`)
      continue
    }
    const targets: string[] = []
    graph.set(file, targets)
    for (const specifier of importsOf(source)) {
      if (!specifier.startsWith('.')) {
        const problem = foreignProblem(part, specifier)
        if (problem !== undefined) found.push(`${file}: ${problem}`)
        continue
      }
      const target = normalize(join(dirname(file), specifier))
      // Its name and version are of the project, not of a part.
      if (target === 'package.json') continue
      const targetPart = partOf(target)
      if (targetPart === undefined) found.push(`${file} imports ${target}, which belongs to no part`)
      else if (!mayImport(part, targetPart)) found.push(`${file} (${part}) imports ${target} (${targetPart})`)
      if (sources.has(target)) targets.push(target)
      else if (/\.[jt]s$/.test(target)) found.push(`${file} imports ${target}, which is not there`)
    }
  }
  return [...found, ...circles(graph).map((circle) => `circle: ${circle.join(' -> ')}`)]
}

function foreignProblem(part: string, specifier: string): string | undefined {
  if (!specifier.startsWith('node:') && builtinModules.includes(specifier.split('/')[0]!))
    return `write node:${specifier}`
  if (!PURE.has(part) || !specifier.startsWith('node:') || PURE_BUILTINS.has(specifier)) return undefined
  return `${part} does no I/O, and imports ${specifier}`
}

/** The part that a file belongs to: `protocol`, a folder in `src`, or `src` for the files in it. */
function partOf(file: string): string | undefined {
  const [top, ...rest] = file.split('/')
  const part = top === 'src' && rest.length > 1 ? `src/${rest[0]}` : top!
  return ROWS.flat().includes(part) ? part : undefined
}

function mayImport(from: string, to: string): boolean {
  const row = (part: string): number => ROWS.findIndex((parts) => parts.includes(part))
  return from === to || row(to) < row(from) || ALLOWED.has(`${from} -> ${to}`)
}

/** Circles in the graph, each once, as the files along it with the first one at both ends. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string): void => {
    const at = path.indexOf(file)
    if (at !== -1) {
      found.push([...path.slice(at), file])
      return
    }
    if (done.has(file)) return
    path.push(file)
    for (const target of graph.get(file) ?? []) visit(target)
    path.pop()
    done.add(file)
  }
  for (const file of graph.keys()) visit(file)
  return found
}

/** Blanks comments out; strings and templates stay as they are. */
function withoutComments(source: string): string {
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g
  return source.replace(token, (text) => (text.startsWith('//') || text.startsWith('/*') ? ' ' : text))
}
