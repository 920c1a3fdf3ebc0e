/**
 * Makes `dist/`: the program and its threads, each with all that it needs, in a few files without comments, beside what they read
 * and the licences of what they contain.
 *
 * Node keeps the source of every module in memory, and some kilobytes more. The 1,500 modules that a node loads, with those of its libraries, cost 28 MB
 * and half a second of processor time at each start that these files do not. Names stay as they are, so that stack traces can be read.
 */
import { copyFile, glob, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { build, type Metafile } from 'esbuild'

const ROOT = join(import.meta.dirname, '..')
const DIST = join(ROOT, 'dist')
/** Threads and files are found beside whoever asks for them: all lie in one folder, and have names of their own. */
const ENTRIES = ['src/cli/main.ts', 'src/**/*-worker.ts']
const FILES = ['src/git/deflate/chunk.wasm', 'src/git/deflate/chunk.wasm.LICENSE']
const LICENCES = 'THIRD-PARTY-LICENSES.txt'

const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints: await Array.fromAsync(glob(ENTRIES, { cwd: ROOT })),
  outdir: DIST,
  entryNames: '[name]',
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minifyWhitespace: true,
  minifySyntax: true,
  keepNames: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  // What libraries that are CommonJS ask Node for.
  banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
})
for (const path of Object.keys(metafile.outputs)) await narrow(join(ROOT, path))
for (const file of FILES) await copyFile(join(ROOT, file), join(DIST, basename(file)))
await writeFile(join(DIST, LICENCES), (await licences(metafile)).join(`\n${'-'.repeat(80)}\n\n`))
// Last, so that whatever runs meanwhile finds its files.
const made = new Set([...Object.keys(metafile.outputs), ...FILES, LICENCES].map((path) => basename(path)))
for (const name of await readdir(DIST)) {
  if (!made.has(name)) await rm(join(DIST, name), { recursive: true })
}

/** Has V8 keep a file's text in one byte a letter, which a single one that does not fit makes two: esbuild leaves them in regular expressions. */
async function narrow(path: string): Promise<void> {
  const text = await readFile(path, 'utf8')
  const narrowed = text.replaceAll(
    /[^\0-\xff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  if (narrowed !== text) await writeFile(path, narrowed)
}

/** What the bundle has of others: each package with its licence. */
async function licences({ inputs }: Metafile): Promise<string[]> {
  const folders = new Set<string>()
  for (const input of Object.keys(inputs)) {
    const [folder] = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []
    if (folder !== undefined) folders.add(folder)
  }
  const texts = new Map<string, string>()
  for (const folder of folders) {
    const { name, version, license } = JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8'))
    const files = await Array.fromAsync(
      glob(['{LICEN[CS]E,licen[cs]e,COPYING,NOTICE}*'], { cwd: join(ROOT, folder) }),
    )
    const contents = await Promise.all(files.sort().map((file) => readFile(join(ROOT, folder, file), 'utf8')))
    if (license === undefined && files.length === 0) throw new Error(`${name} ${version} names no licence`)
    texts.set(`${name} ${version}`, `${name} ${version} (${license})\n\n${contents.join('\n')}`)
  }
  return [...texts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text)
}
