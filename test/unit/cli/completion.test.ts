import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { Sandbox } from './gachix.ts'

/** What bash offers for the last of the words. */
function completeInBash(sandbox: Sandbox, words: readonly string[]): string[] {
  const script = `source ./bash.sh
COMP_WORDS=(gachix "$@") COMP_CWORD=$#
_gachix
printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], {
    cwd: sandbox.path,
    encoding: 'utf8',
  })
  assert.equal(stderr, '')
  return stdout.split('\n').filter((line) => line !== '')
}

describe('gachix completion', () => {
  let sandbox: Sandbox
  before(async () => {
    sandbox = await Sandbox.create()
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, stdout } = await sandbox.run(['completion', shell])
      assert.equal(code, 0)
      await writeFile(sandbox.file(`${shell}.sh`), stdout)
    }
    await mkdir(sandbox.file('result dir'))
    await writeFile(sandbox.file('result.yaml'), '')
  })
  after(() => sandbox.remove())

  it('makes scripts that the shells of this machine read', () => {
    const installed = ['bash', 'zsh', 'fish'].filter((shell) => spawnSync(shell, ['-c', 'true']).status === 0)
    assert.ok(installed.includes('bash'))
    for (const shell of installed) {
      const { status, stderr } = spawnSync(shell, ['-n', sandbox.file(`${shell}.sh`)], { encoding: 'utf8' })
      assert.deepEqual({ shell, status, stderr }, { shell, status: 0, stderr: '' })
    }
  })

  it('completes commands, options, choices and paths in bash', () => {
    assert.deepEqual(completeInBash(sandbox, ['s']), ['serve', 'sync', 'status'])
    assert.deepEqual(completeInBash(sandbox, ['key', '']), ['generate', 'show'])
    assert.deepEqual(completeInBash(sandbox, ['-c', 'x', 'key', 's']), ['show'])
    assert.deepEqual(completeInBash(sandbox, ['add', '--s']), ['--single', '--store-path'])
    assert.deepEqual(completeInBash(sandbox, ['list', '--log-level', 'd']), ['debug'])
    assert.deepEqual(completeInBash(sandbox, ['completion', '']), ['bash', 'zsh', 'fish'])
    assert.deepEqual(completeInBash(sandbox, ['add', 'res']).sort(), ['result dir', 'result.yaml'])
    assert.deepEqual(completeInBash(sandbox, ['--store-path', 'res']), ['result dir'])
    assert.deepEqual(completeInBash(sandbox, ['list', '']), [])
  })
})
