import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { Sandbox } from './gachix.ts'

describe('gachix key', () => {
  let sandbox: Sandbox
  before(async () => {
    sandbox = await Sandbox.create()
  })
  after(() => sandbox.remove())

  it('generate writes a secret file for its owner only and prints the public key', async () => {
    const { code, stdout } = await sandbox.run([
      'key',
      'generate',
      '--name',
      'cache.example-1',
      '--out',
      'secret',
    ])
    assert.equal(code, 0)
    assert.match(stdout, /^cache\.example-1:[A-Za-z0-9+/]{43}=\n$/)
    const secret = await readFile(sandbox.file('secret'), 'utf8')
    assert.match(secret, /^cache\.example-1:[A-Za-z0-9+/]{86}==$/)
    assert.equal((await stat(sandbox.file('secret'))).mode & 0o777, 0o600)
    assert.ok(!stdout.includes(secret.split(':')[1]!.slice(0, 40)))

    const show = await sandbox.run(['key', 'show'], { GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: 'secret' })
    assert.equal(show.stdout, stdout)
  })

  it('generate never replaces a file unless told so', async () => {
    await writeFile(sandbox.file('precious'), 'precious')
    const refused = await sandbox.run(['key', 'generate', '--out', 'precious', '--json'])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /precious: it exists already; --force would replace it \[ERR_SIGNING_KEY\]/)
    assert.equal(await readFile(sandbox.file('precious'), 'utf8'), 'precious')

    const forced = await sandbox.run(['key', 'generate', '--out', 'precious', '--force', '--json'])
    assert.equal(forced.code, 0)
    const { name, publicKey, path } = JSON.parse(forced.stdout) as Record<string, string>
    assert.match(name!, /-1$/)
    assert.ok(publicKey!.startsWith(`${name}:`))
    assert.equal(path, 'precious')
    assert.equal((await stat(sandbox.file('precious'))).mode & 0o777, 0o600)
  })

  it('generate takes no name that Nix could not read back', async () => {
    const { code, stderr } = await sandbox.run(['key', 'generate', '--name', 'a:b'])
    assert.equal(code, 2)
    assert.match(stderr, /cannot be the name of a key/)
  })

  it('show says what to do when there is no key, or none in the file', async () => {
    const none = await sandbox.run(['key', 'show'])
    assert.equal(none.code, 1)
    assert.match(none.stderr, /there is no key yet.*\[ERR_SIGNING_KEY\]/)
    const missing = await sandbox.run(['key', 'show'], { GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: 'gone' })
    assert.match(missing.stderr, /there is no gone, named by store\.sign_private_key_path/)
  })
})
