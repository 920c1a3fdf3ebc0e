import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { run } from '../../support/process.ts'
import { runHere, Sandbox } from './gachix.ts'

describe('gachix use', () => {
  let sandbox: Sandbox
  let key: string
  let env: Record<string, string>
  before(async () => {
    sandbox = await Sandbox.create()
    const generate = ['key', 'generate', '--name', 'use.test-1', '--out', sandbox.file('key')]
    key = (await runHere(generate)).stdout.trim()
    env = { NIX_CONF_DIR: sandbox.file('etc'), GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: sandbox.file('key') }
    await mkdir(sandbox.file('etc'))
  })
  after(() => sandbox.remove())

  it('prints the lines that Nix takes, and changes nothing', async () => {
    const { code, stdout, stderr } = await sandbox.run(['use'], env)
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(stdout, `extra-substituters = http://localhost:8080\nextra-trusted-public-keys = ${key}\n`)
    await assert.rejects(stat(sandbox.file('etc/nix.conf')))
  })

  it('adds them once, through a symbolic link, and the real Nix has them in force; --remove takes them out', async () => {
    const original = '# ours\nmax-jobs = 3\n'
    await writeFile(sandbox.file('etc/real.conf'), original)
    await chmod(sandbox.file('etc/real.conf'), 0o640)
    await symlink('real.conf', sandbox.file('etc/nix.conf'))
    for (const changed of [true, false]) {
      const { stdout } = await runHere(['use', '--write', '--json'], env)
      const expected = {
        url: 'http://localhost:8080',
        publicKey: key,
        file: sandbox.file('etc/nix.conf'),
        changed,
      }
      assert.deepEqual(JSON.parse(stdout), expected)
    }
    const text = await readFile(sandbox.file('etc/real.conf'), 'utf8')
    assert.ok(text.startsWith(original))
    assert.equal((await stat(sandbox.file('etc/real.conf'))).mode & 0o777, 0o640)

    const nix = { PATH: process.env.PATH, HOME: sandbox.path, NIX_CONF_DIR: sandbox.file('etc') }
    const options = ['--extra-experimental-features', 'nix-command', 'show-config']
    const shown = (await run('nix', options, { env: nix })).toString()
    assert.match(shown, /^max-jobs = 3$/m)
    assert.match(shown, /^substituters = .*http:\/\/localhost:8080$/m)
    assert.match(shown, /^substituters = .*cache\.nixos\.org/m)
    assert.ok(shown.split('\n').some((line) => line.startsWith('trusted-public-keys') && line.includes(key)))

    const removed = await runHere(['use', '--remove'], env)
    assert.match(removed.stderr, /nix\.conf was changed$/m)
    assert.equal(await readFile(sandbox.file('etc/real.conf'), 'utf8'), original)
    assert.match((await runHere(['use', '--remove'], env)).stderr, /is as it should be$/m)
  })

  it('takes another cache, its key and another file', async () => {
    const args = [
      'use',
      'https://cache.example.org',
      '--public-key',
      key,
      '--file',
      sandbox.file('made/nix.conf'),
      '--write',
    ]
    assert.equal((await runHere(args, env)).code, 0)
    assert.match(await readFile(sandbox.file('made/nix.conf'), 'utf8'), /= https:\/\/cache\.example\.org$/m)
  })

  it('says what is wrong', async () => {
    const wrong: [args: string[], code: number, message: RegExp][] = [
      [['--write', '--remove'], 2, /exclude each other \[ERR_USAGE\]/],
      [['not-a-url'], 2, /no http:\/\/ or https:\/\/ URL \[ERR_USAGE\]/],
      [['--public-key', 'x'], 2, /--public-key: .*\[ERR_USAGE\]/],
      [['--file', '/dev/null/nix.conf', '--write'], 1, /cannot (read|write) \/dev\/null.*\[ERR_NIX_CONF\]/],
    ]
    for (const [args, code, message] of wrong) {
      const result = await runHere(['use', ...args], env)
      assert.equal(result.code, code)
      assert.match(result.stderr, message)
    }
    const keyless = await runHere(['--store-path', sandbox.file('none'), 'use'])
    assert.match(keyless.stderr, /this node has no key yet.*\[ERR_USAGE\]/)
  })
})
