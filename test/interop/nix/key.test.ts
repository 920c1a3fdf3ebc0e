/** Key files of `gachix key generate` and of `nix-store --generate-binary-cache-key` are of one kind. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Gachix } from '../../support/gachix.ts'
import { run } from '../../support/process.ts'

describe('key files', () => {
  let folder: string
  let gachix: Gachix
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-interop-key-'))
    gachix = await Gachix.create()
  })
  after(async () => {
    await gachix.close()
    await rm(folder, { recursive: true })
  })

  it('of Nix are understood', async () => {
    const [secret, publicFile] = [join(folder, 'nix.secret'), join(folder, 'nix.public')]
    await run('nix-store', ['--generate-binary-cache-key', 'cache.example-1', secret, publicFile])
    const shown = await gachix.run(['key', 'show'], { GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: secret })
    assert.equal(shown.trim(), (await readFile(publicFile, 'utf8')).trim())
  })

  it('of ours are laid out as those of Nix, byte for byte, and understood by it', async () => {
    const [nix, ours] = [join(folder, 'layout.secret'), join(folder, 'ours.secret')]
    await run('nix-store', ['--generate-binary-cache-key', 'layout-1', nix, join(folder, 'layout.public')])
    const publicKey = (await gachix.run(['key', 'generate', '--name', 'layout-1', '--out', ours])).trim()
    const shape = /^layout-1:[A-Za-z0-9+/]{86}==$/
    assert.match(await readFile(nix, 'utf8'), shape)
    const secret = await readFile(ours, 'utf8')
    assert.match(secret, shape)

    const script = 'nix --extra-experimental-features nix-command key convert-secret-to-public < "$1"'
    assert.equal((await run('sh', ['-c', script, 'sh', ours])).toString().trim(), publicKey)
  })
})
