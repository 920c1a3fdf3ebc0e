/**
 * Runs tests, several files at a time and those first that take longest: then no processor waits for the last one at the end. `node --test`
 * itself goes by the alphabet. What was built is tested (`npm run build`), not the sources.
 *
 *   node test/run.ts GROUP...    the groups are in `GROUPS`
 */
import { globSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const TESTS = import.meta.dirname

/** Files of each group, and how many of them go on at once: many wait more than they work. */
const GROUPS: Readonly<Record<string, { readonly files: string; readonly atOnce: number }>> = {
  suite: {
    files: '{unit,architecture,compliance,vectors,interop,security,sim,e2e,deploy}/**/*.test.ts',
    atOnce: 3,
  },
  // Hosts by the dozen, and times that have to hold.
  mesh: { files: 'mesh/*.test.ts', atOnce: 1 },
  install: { files: 'install/*.test.ts', atOnce: 2 },
  // They make their corpus when it is not there, and only one may do that.
  corpus: { files: 'corpus/{corpus,resync}.test.ts', atOnce: 1 },
  clients: { files: 'corpus/clients.test.ts', atOnce: 1 },
}

/** What takes half a minute and more, longest first. A run ends with its own list. */
const LONG = [
  'e2e/kill',
  'install/container',
  'mesh/slow-network',
  'mesh/hostile-peers',
  'interop/git/nar-body',
  'unit/cli/node',
  'e2e/sources',
  'mesh/partition',
  'e2e/sync-failures',
  'e2e/memory',
  'e2e/pull-through',
  'unit/cli/use',
  'e2e/substitute',
  'e2e/receive-kill',
  'interop/git/merge-kill',
  'corpus/resync',
  'corpus/corpus',
  'e2e/sync-kill',
  'e2e/mesh',
  'unit/cli/config',
  'e2e/mesh-commands',
  'e2e/sync-comeback',
  'e2e/receive-memory',
  'unit/store/maintenance',
  'e2e/readme',
  'e2e/foreign-repository',
  'e2e/git-memory',
  'interop/git/names',
  'interop/git/large-objects',
  'unit/cli/key',
]
/** How many files that list has. */
const SLOWEST = 12

const groups = process.argv.slice(2).map((name) => {
  const group = GROUPS[name]
  if (group === undefined) throw new Error(`no group ${name}: there are ${Object.keys(GROUPS).join(', ')}`)
  return group
})
const files = groups.flatMap(({ files: pattern }) => globSync(pattern, { cwd: TESTS })).sort(byLength)
if (files.length === 0) throw new Error('name a group that has files')
process.env.GACHIX_TEST_DIST = '1'

const durations = new Map<string, number>()
const tests = run({
  files: files.map((file) => join(TESTS, file)),
  concurrency: Math.max(...groups.map(({ atOnce }) => atOnce)),
})
tests.on('test:summary', ({ file, duration_ms: duration, success }) => {
  if (file !== undefined) durations.set(relative(TESTS, file), duration)
  if (!success) process.exitCode = 1
})
await pipeline(tests, new spec(), process.stdout, { end: false })
const slowest = [...durations].sort(([, a], [, b]) => b - a).slice(0, SLOWEST)
for (const [file, duration] of slowest) console.log(`${(duration / 1000).toFixed(0).padStart(5)} s  ${file}`)

function byLength(a: string, b: string): number {
  return rank(a) - rank(b) || (a < b ? -1 : 1)
}

function rank(file: string): number {
  const found = LONG.indexOf(file.replace(/\.test\.ts$/, ''))
  return found < 0 ? LONG.length : found
}
