/** The README's examples work as they stand there, and its tables and those of LIMITS.md agree with the code. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { environmentName, SETTING_LIST } from '../../src/config/schema.ts'
import { fencedBlocks, plainCell, tableRows } from '../support/documents.ts'
import { CLI, GachixNode } from '../support/gachix.ts'
import { NixStore } from '../support/nix.ts'
import { freePort, run } from '../support/process.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const README = await readFile(join(CHECKOUT, 'README.md'), 'utf8')

test('the examples run one after the other beside a node, as the reader would run them', async () => {
  await using store = await NixStore.start()
  // Until its store exists, a daemon that may be asked through a socket asks itself for it.
  await store.inside(['nix-store', '--init'])
  const folder = await mkdtemp(join(tmpdir(), 'gachix-readme-'))
  const ports = new Map<string, string>()
  for (const port of ['8080', '8081', '4042', '4043']) ports.set(port, String(await freePort()))
  const port = ports.get('8080')!
  const here = (text: string): string =>
    text.replaceAll(/\b(8080|8081|4042|4043)\b/g, (each) => ports.get(each)!)
  const bin = join(folder, 'bin')
  const work = join(folder, 'work')
  const environment = {
    ...store.env,
    PATH: `${bin}:${process.env.PATH}`,
    NIX_DAEMON_SOCKET_PATH: store.socket,
  }
  const listen = { GACHIX__SERVER__PORT: port, GACHIX__MESH__LISTEN: here('/ip4/0.0.0.0/tcp/4042') }
  try {
    await mkdir(bin)
    await mkdir(work)
    await writeFile(join(bin, 'gachix'), `#!/bin/sh\nexec "${process.execPath}" "${CLI}" "$@"\n`)
    await chmod(join(bin, 'gachix'), 0o755)
    const settings = fencedBlocks(README, 'yaml').find((text) => text.includes('sign_private_key_path'))
    assert.ok(settings !== undefined, 'the README shows a settings file')
    await writeFile(join(work, 'gachix.yaml'), here(settings))
    const blocks = fencedBlocks(README, 'sh')
    assert.ok(blocks.length >= 5, 'the README has examples')
    await writeFile(join(work, 'examples.sh'), here(blocks.join('\n')))

    const serving = spawn('gachix', ['serve'], {
      cwd: work,
      env: { ...environment, ...listen },
      stdio: 'pipe',
    })
    const node = new GachixNode(`http://localhost:${port}`, serving)
    try {
      await node.healthy()
      const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
      const output = await store.inside(['env', '-C', work, ...variables, 'sh', '-eux', 'examples.sh'])
      assert.match(output.toString(), /^hello$/m, 'what was fetched is what was built')
      assert.match(output.toString(), /-hello-1$/m, 'the package is listed')
      assert.match(output.toString(), /^cache\.example\.org-1:/m, 'the key was made')
      assert.match(output.toString(), /^pulled 1 package /m, 'the second node has fetched it')
    } finally {
      await node.stop()
    }
  } finally {
    await run('chmod', ['-R', 'u+w', folder])
    await rm(folder, { recursive: true, force: true })
  }
})

test('the table of settings is that of the code', () => {
  const rows = tableRows(README, ['Key', 'Default', 'Variable', 'Meaning'])
  const expected = SETTING_LIST.map(({ key, setting }) => [
    key,
    describeDefault(setting.default),
    environmentName(key),
    setting.description,
  ])
  assert.deepEqual(
    rows.map((cells) => cells.map(plainCell)),
    expected,
  )
})

test('the table of commands names them all', async () => {
  const help = (await run(process.execPath, [CLI, '--help'])).toString()
  const section = help.slice(help.indexOf('Commands:'), help.indexOf('Examples:'))
  const commands = Array.from(section.matchAll(/^ {2}([a-z-]+)/gm), ([, name]) => name!)
  const described = tableRows(README, ['Command', 'Does'])
    .map(([cell]) => cell)
    .join(' ')
  assert.ok(commands.length >= 8)
  for (const name of commands) if (name !== 'help') assert.match(described, new RegExp(`gachix ${name}\\b`))
})

test('links between the documents lead somewhere', async () => {
  for (const name of (await readdir(CHECKOUT)).filter((file) => file.endsWith('.md'))) {
    const text = await readFile(join(CHECKOUT, name), 'utf8')
    for (const [, target] of text.matchAll(/\]\(([^)#:]+)\)/g)) {
      await readFile(join(CHECKOUT, target!)).catch(() => assert.fail(`${name} links to ${target}`))
    }
  }
})

test('LIMITS.md has the values of the constants that it names', async () => {
  const limits = await readFile(join(CHECKOUT, 'LIMITS.md'), 'utf8')
  const rows = tableRows(limits, ['Value', 'Bound', 'Why', 'Where'])
  assert.ok(rows.length > 40)
  for (const [value, , , where] of rows) {
    const named = /^`(\w+)` in `([\w./-]+)`$/.exec(where!)
    const [, name, file] = named ?? []
    if (name === undefined || file === undefined) {
      await readFile(join(CHECKOUT, plainCell(where!)))
      continue
    }
    const source = (await readFile(join(CHECKOUT, file), 'utf8')).replaceAll('MEBIBYTE', '1024 * 1024')
    const expression = new RegExp(`\\b${name}(?:: \\w+)? ?[=:?]+ ([\\d_* /.]+)`).exec(source)?.[1]
    assert.ok(expression !== undefined, `${file} has no number ${name}`)
    assert.ok(meanings(value!).includes(evaluate(expression)), `${name} is ${expression}, not ${value}`)
  }
})

function describeDefault(value: unknown): string {
  if (value === undefined) return 'none'
  return Array.isArray(value) && value.length === 0 ? 'empty list' : String(value)
}

const UNITS: Readonly<Record<string, number>> = {
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  min: 60,
  ms: 0.001,
}

/** The numbers that a value such as `64 KiB`, `5 s` or `1,024` can stand for in the code; times are in s or ms. */
function meanings(value: string): number[] {
  const [, digits = '', unit = ''] = /^([\d,./]+) ?(\w*)/.exec(value) ?? []
  const number = evaluate(digits.replaceAll(',', '')) * (UNITS[unit] ?? 1)
  return ['s', 'ms', 'min'].includes(unit) ? [number, number * 1000] : [number]
}

/** A product or quotient of numbers. */
function evaluate(expression: string): number {
  const [first = '', ...rest] = expression.replaceAll(/[_ ]/g, '').split(/(?=[*/])/)
  return rest.reduce(
    (result, part) => (part[0] === '*' ? result * Number(part.slice(1)) : result / Number(part.slice(1))),
    Number(first),
  )
}
