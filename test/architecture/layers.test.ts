/** The layers hold, there are no circles, and the test would notice if it were otherwise. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { describe, test } from 'node:test'
import { importsOf, LONGEST_FILE, violations } from './imports.ts'

const CHECKOUT = join(import.meta.dirname, '../..')

async function sourcesOf(folders: readonly string[]): Promise<Map<string, string>> {
  const sources = new Map<string, string>()
  for (const folder of folders) {
    for (const entry of await readdir(join(CHECKOUT, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
      const file = join(entry.parentPath, entry.name)
      sources.set(relative(CHECKOUT, file), await readFile(file, 'utf8'))
    }
  }
  return sources
}

test('src/ and protocol/ hold to the layers, without circles', async () => {
  const sources = await sourcesOf(['src', 'protocol'])
  assert.ok(sources.size > 20, 'the sources were found')
  assert.deepEqual(violations(sources), [])
})

test(`no test has more than ${LONGEST_FILE} lines`, async () => {
  // What tests leave in `.work` comes and goes while others run.
  const folders = (await readdir(join(CHECKOUT, 'test'), { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => `test/${name}`)
  const long = [...(await sourcesOf(folders))].filter(
    ([, source]) => source.split('\n').length - 1 > LONGEST_FILE,
  )
  assert.deepEqual(
    long.map(([file]) => file),
    [],
  )
})

describe('a planted violation is found', () => {
  const sound = {
    'src/util/a.ts': "import { z } from 'zod'\n",
    'src/nix/hash.ts': "import { createHash } from 'node:crypto'\nimport '../util/a.ts'\n",
    'src/git/oid.ts': "import { open } from 'node:fs/promises'\nexport * from '../util/a.ts'\n",
    'src/store/api.ts': "import type { H } from '../nix/hash.ts'\nimport { o } from '../git/oid.ts'\n",
    'src/config/load.ts': "import '../util/a.ts'\n",
    'src/node.ts': "import { l } from './config/load.ts'\n",
    'src/cli/main.ts': "import { n } from '../node.ts'\nconst later = await import('../config/load.ts')\n",
  }
  const found = (planted: Record<string, string>): string =>
    violations(new Map(Object.entries({ ...sound, ...planted }))).join('\n')

  test('none in what is sound', () => assert.equal(found({}), ''))

  const cases: [string, Record<string, string>, RegExp][] = [
    [
      'upwards',
      { 'src/util/b.ts': "import { h } from '../nix/hash.ts'\n" },
      /src\/util\/b\.ts .*src\/nix\/hash/,
    ],
    [
      'siblings',
      { 'src/git/x.ts': "import { h } from '../nix/hash.ts'\n" },
      /src\/git\/x\.ts .*src\/nix\/hash/,
    ],
    ['a type', { 'src/git/x.ts': "import type { h } from '../nix/hash.ts'\n" }, /src\/git\/x\.ts/],
    [
      'several lines',
      { 'src/git/x.ts': "import {\n  a,\n  b,\n} from '../store/api.ts'\n" },
      /src\/git\/x\.ts/,
    ],
    ['a re-export', { 'src/git/x.ts': "export { a } from '../store/api.ts'\n" }, /src\/git\/x\.ts/],
    ['a star', { 'src/git/x.ts': "import * as a from '../store/api.ts'\n" }, /src\/git\/x\.ts/],
    ['a default', { 'src/git/x.ts': "import a, { b } from '../store/api.ts'\n" }, /src\/git\/x\.ts/],
    ['a late import', { 'src/git/x.ts': "const a = import('../store/api.ts')\n" }, /src\/git\/x\.ts/],
    [
      'a worker',
      { 'src/git/x.ts': "new Worker(new URL('../store/api.ts', import.meta.url))\n" },
      /src\/git\/x/,
    ],
    ['protocol of src', { 'protocol/a.ts': "import '../src/util/a.ts'\n" }, /protocol\/a\.ts/],
    ['an unknown folder', { 'src/other/x.ts': '' }, /src\/other\/x\.ts belongs to no part/],
    ['the composition root', { 'src/http/x.ts': "import { n } from '../node.ts'\n" }, /src\/http\/x\.ts/],
    ['I/O in src/nix', { 'src/nix/x.ts': "import { open } from 'node:fs/promises'\n" }, /no I\/O.*node:fs/],
    ['no node:', { 'src/git/x.ts': "import { open } from 'fs/promises'\n" }, /write node:fs/],
    ['a missing file', { 'src/git/x.ts': "import './gone.ts'\n" }, /not there/],
    [
      'a circle',
      { 'src/git/x.ts': "import './y.ts'\n", 'src/git/y.ts': "import './x.ts'\n" },
      /circle: .*x\.ts/,
    ],
    ['itself', { 'src/git/x.ts': "import './x.ts'\n" }, /circle: src\/git\/x\.ts -> src\/git\/x\.ts/],
    ['length', { 'src/git/x.ts': '\n'.repeat(LONGEST_FILE + 1) }, /has 401 lines/],
  ]
  for (const [name, planted, expected] of cases) {
    test(name, () => assert.match(found(planted), expected))
  }

  test('but not in comments and strings', () => {
    assert.equal(
      found({ 'src/git/x.ts': "// import '../store/api.ts'\n/* import '../store/api.ts' */\n" }),
      '',
    )
    assert.deepEqual(importsOf("const a = 'http://x' // import 'y'\nimport b from 'z'\n"), ['z'])
  })
})
