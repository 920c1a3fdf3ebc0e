/** What is generated for users agrees with the code: the example of all settings, and the manual page. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parseConfig } from '../../src/config/parse.ts'
import { environmentName, SETTING_LIST } from '../../src/config/schema.ts'
import { run } from '../support/process.ts'
import { runHere } from '../unit/cli/gachix.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const MEND = 'npm run documents makes it anew'

describe('config.example.yaml', async () => {
  const file = await readFile(join(DEPLOY, 'config.example.yaml'), 'utf8')

  test('is what gachix config example prints', async () => {
    const { code, stdout } = await runHere(['config', 'example'])
    assert.equal(code, 0)
    assert.equal(file, stdout, MEND)
  })

  test('has every key, with its unit, meaning and variable, and the effect of no file', () => {
    const { config, values, origins } = parseConfig(file, 'example')
    const defaults = parseConfig(undefined, '')
    assert.deepEqual(config, defaults.config)
    const words = file.replaceAll(/\n *# /g, ' ')
    for (const { key, setting } of SETTING_LIST) {
      assert.deepEqual(values.get(key), defaults.values.get(key), key)
      // A key without a value is written, and leaves the default.
      const origin = setting.default === undefined ? 'default' : 'file'
      assert.equal(origins.get(key)!.from, origin, `${key} is set in the file`)
      assert.match(file, new RegExp(`^ *${key.split('.').at(-1)}:`, 'm'))
      for (const text of [setting.description, setting.unit ?? '', environmentName(key)]) {
        assert.ok(words.includes(text), `${key}: ${text}`)
      }
    }
  })
})

describe('gachix.1', async () => {
  const file = await readFile(join(DEPLOY, 'gachix.1'), 'utf8')

  test('is what gachix manual prints, and sound', async () => {
    const { code, stdout } = await runHere(['manual'])
    assert.equal(code, 0)
    assert.equal(file, stdout, MEND)
    await run('mandoc', ['-T', 'lint', '-W', 'error', join(DEPLOY, 'gachix.1')])
  })

  test('has every command and option of --help', async () => {
    const page = (await run('mandoc', ['-T', 'utf8', '-O', 'width=200', join(DEPLOY, 'gachix.1')])).toString()
    const shown = page.replaceAll(/.\u0008/g, '')
    const helps = [await runHere(['--help'])]
    const names = (help: string) =>
      Array.from(
        help
          .split('Commands:\n')[1]
          ?.split('\n\n')[0]
          ?.matchAll(/^ {2}([a-z]+)/gm) ?? [],
        ([, name]) => name!,
      )
    for (const name of names(helps[0]!.stdout)) {
      const help = await runHere([name, '--help'])
      helps.push(help)
      for (const inner of names(help.stdout)) helps.push(await runHere([name, inner, '--help']))
    }
    assert.ok(helps.length > 15)
    for (const { stdout } of helps) {
      for (const [, option] of stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)) {
        assert.ok(shown.includes(option!), `${option} of: ${stdout.split('\n')[0]}`)
      }
    }
  })
})
