import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { MAIN, runHere, Sandbox } from './gachix.ts'

describe('gachix', () => {
  let sandbox: Sandbox
  before(async () => {
    sandbox = await Sandbox.create()
  })
  after(() => sandbox.remove())

  it('explains itself with --help on standard output', async () => {
    const { code, stdout, stderr } = await sandbox.run(['--help'])
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    for (const word of [
      'serve',
      'add',
      'list',
      'info',
      'status',
      'key',
      'use',
      'config',
      'doctor',
      'completion',
    ]) {
      assert.match(stdout, new RegExp(`^  ${word}\\b`, 'm'))
    }
    for (const heading of ['Examples:', 'Environment:', 'Exit codes:']) assert.ok(stdout.includes(heading))
  })

  it('explains every command, with the options that all have', async () => {
    const commands = [
      'serve',
      'add',
      'list',
      'info',
      'status',
      'key generate',
      'key show',
      'use',
      'doctor',
      'config check',
      'config show',
      'config example',
      'manual',
      'completion',
    ]
    const answers = await Promise.all(commands.map((command) => runHere([...command.split(' '), '--help'])))
    for (const [index, { code, stdout }] of answers.entries()) {
      assert.equal(code, 0)
      assert.ok(stdout.startsWith(`Usage: gachix ${commands[index]}`), stdout)
      assert.match(stdout, /--config <file>/)
    }
  })

  it('prints its version', async () => {
    const { code, stdout } = await sandbox.run(['--version'])
    assert.equal(code, 0)
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
  })

  const wrong: [what: string, args: string[], message: RegExp][] = [
    ['no command', [], /^gachix: a command is needed.*\[ERR_USAGE\]$/m],
    [
      'an unknown command',
      ['lits'],
      /^gachix: unknown command 'lits' \(Did you mean list\?\) \[ERR_USAGE\]$/m,
    ],
    [
      'an unknown option',
      ['list', '--jsn'],
      /^gachix: unknown option '--jsn' \(Did you mean --json\?\) \[ERR_USAGE\]$/m,
    ],
    ['a missing argument', ['add'], /^gachix: missing required argument 'path' \[ERR_USAGE\]$/m],
    ['too many arguments', ['list', 'x'], /^gachix: too many arguments.*\[ERR_USAGE\]$/m],
    [
      'an impossible choice',
      ['completion', 'tcsh'],
      /^gachix: .*Allowed choices are bash, zsh, fish.* \[ERR_USAGE\]$/m,
    ],
    [
      'a path that is nothing',
      ['add', './nothing'],
      /^gachix: there is no \.\/nothing, .*\/nix\/store \[ERR_USAGE\]$/m,
    ],
    [
      'a path outside the store',
      ['info', '/'],
      /^gachix: \/ is not in the store directory \/nix\/store \[ERR_USAGE\]$/m,
    ],
    ['what is no store path', ['info', '/nix/store/x'], /^gachix: .*is not a store path.* \[ERR_USAGE\]$/m],
    [
      'a wrong flag value',
      ['serve', '--port', 'x'],
      /^gachix: --port: server\.port: expected a whole number.* \[ERR_CONFIG\]$/m,
    ],
  ]
  for (const [what, args, message] of wrong) {
    it(`answers ${what} with exit code 2 and one line`, async () => {
      const { code, stdout, stderr } = await runHere(args)
      assert.equal(code, 2)
      assert.equal(stdout, '')
      assert.match(stderr, message)
    })
  }

  it('tells failures as JSON too when asked for JSON', async () => {
    const usage = await sandbox.run(['list', '--json', '--bad'])
    assert.equal(usage.code, 2)
    assert.deepEqual(JSON.parse(usage.stdout), {
      error: { code: 'ERR_USAGE', message: "unknown option '--bad'" },
    })

    const status = await sandbox.run(['status', '--json'])
    assert.equal(status.code, 1)
    const { error } = JSON.parse(status.stdout) as { error: { code: string; message: string } }
    assert.equal(error.code, 'ERR_NODE_NOT_RUNNING')
    assert.equal(status.stderr, `gachix: ${error.message} [${error.code}]\n`)
  })

  it('lists nothing where there is no repository, and makes none', async () => {
    const plain = await sandbox.run(['list'])
    assert.deepEqual(plain, { code: 0, stdout: '', stderr: 'there is no repository at ./cache yet\n' })
    assert.equal((await sandbox.run(['list', '--json'])).stdout, '[]\n')
    const info = await sandbox.run(['info', '0'.repeat(32)])
    assert.equal(info.code, 1)
    assert.match(info.stderr, /\[ERR_NOT_FOUND\]$/m)
    assert.match((await sandbox.run(['status'])).stderr, /\[ERR_NODE_NOT_RUNNING\]$/m)
  })

  it('takes a reader that goes away for an end, not for a failure', () => {
    const script = `"${process.execPath}" "${MAIN}" --help | true; exit "\${PIPESTATUS[0]}"`
    const { status, stderr } = spawnSync('bash', ['-c', script], { cwd: sandbox.path, encoding: 'utf8' })
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
  })
})
