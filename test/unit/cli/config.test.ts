import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { SETTING_LIST } from '../../../src/config/schema.ts'
import { Sandbox } from './gachix.ts'

describe('gachix config', () => {
  let sandbox: Sandbox
  before(async () => {
    sandbox = await Sandbox.create()
    await writeFile(
      sandbox.file('right.yaml'),
      'store:\n  remotes: ["https://user:secret@host/x"]\nserver:\n  port: 81\n',
    )
    await writeFile(sandbox.file('wrong.yaml'), 'log_level: loud\nserver:\n  prot: 1\n')
  })
  after(() => sandbox.remove())

  it('check names file, line and key of everything that is wrong', async () => {
    const { code, stdout, stderr } = await sandbox.run(['-c', 'wrong.yaml', 'config', 'check'])
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
    assert.equal(
      stderr,
      `gachix: the configuration has 2 problems:
  wrong.yaml:1: log_level: expected one of trace, debug, info, warn, error, silent, got "loud"
  wrong.yaml:3: server.prot: unknown key, did you mean server.port? [ERR_CONFIG]
`,
    )
  })

  it('check names a missing file, and key files that cannot be used', async () => {
    const missing = await sandbox.run(['config', 'check', '--config', 'missing.yaml', '--json'])
    assert.equal(missing.code, 2)
    const { error } = JSON.parse(missing.stdout) as { error: { code: string; message: string } }
    assert.equal(error.code, 'ERR_CONFIG')
    assert.match(error.message, /^missing\.yaml: cannot be read: ENOENT/)

    const keys = await sandbox.run(['config', 'check'], {
      GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: 'right.yaml',
      GACHIX__STORE__SSH_PRIVATE_KEY_PATH: 'none',
    })
    assert.equal(keys.code, 2)
    assert.match(
      keys.stderr,
      /env GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: store\.sign_private_key_path: right\.yaml .*holds no key/,
    )
    assert.match(keys.stderr, /env GACHIX__STORE__SSH_PRIVATE_KEY_PATH: store\.ssh_private_key_path: ENOENT/)
  })

  it('check is content with right settings, and no file is read unasked', async () => {
    await writeFile(sandbox.file('gachix.yaml'), 'nonsense: 1\n')
    assert.deepEqual(await sandbox.run(['config', 'check']), {
      code: 0,
      stdout: 'the settings are right\n',
      stderr: '',
    })
    assert.equal((await sandbox.run(['-c', 'right.yaml', 'config', 'check'])).code, 0)
  })

  it('show tells each value and where it comes from, without passwords', async () => {
    const env = { GACHIX__SERVER__PRIORITY: '7' }
    const { code, stdout } = await sandbox.run(
      ['-c', 'right.yaml', '--store-path', '/srv/x', 'config', 'show'],
      env,
    )
    assert.equal(code, 0)
    assert.match(stdout, /^ {2}path: "\/srv\/x" +# flag --store-path$/m)
    assert.match(stdout, /^ {2}port: 81 +# right\.yaml:4$/m)
    assert.match(stdout, /^ {2}priority: 7 +# env GACHIX__SERVER__PRIORITY$/m)
    assert.match(stdout, /^log_level: "info" +# default$/m)
    assert.ok(!stdout.includes('secret'))
  })

  it('show prints a settings file that has the same effect', async () => {
    const args = ['--store-path', 'elsewhere', '--log-level', 'warn', 'config', 'show']
    const { stdout } = await sandbox.run(args, { GACHIX__STORE__BUILDERS: 'ssh://a,ssh://b' })
    await writeFile(sandbox.file('copy.yaml'), stdout)
    const again = await sandbox.run(['-c', 'copy.yaml', 'config', 'show'])
    assert.equal(again.stdout.replace(/ +#.*$/gm, ''), stdout.replace(/ +#.*$/gm, ''))
  })

  it('show --json knows every key', async () => {
    const { stdout } = await sandbox.run(['-c', 'right.yaml', 'config', 'show', '--json'])
    const shown = JSON.parse(stdout) as Record<string, { value: unknown; origin: string; variable: string }>
    assert.deepEqual(
      Object.keys(shown),
      SETTING_LIST.map(({ key }) => key),
    )
    assert.deepEqual(shown['server.port']?.value, 81)
    assert.deepEqual(shown['server.port']?.origin, 'right.yaml:4')
    assert.deepEqual(shown['store.sign_private_key_path']?.value, null)
    assert.deepEqual(shown['store.path']?.variable, 'GACHIX__STORE__PATH')
  })
})
