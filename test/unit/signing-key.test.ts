import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parseConfig } from '../../src/config/parse.ts'
import { SecretKey } from '../../src/nix/signature.ts'
import { automaticKeyName, ensureSigningKey, findSigningKey, writeKeyFile } from '../../src/signing-key.ts'
import { silentLogger } from '../../src/util/log.ts'
import { createLogger } from '../../src/util/logger.ts'

const AUTOMATIC = parseConfig(undefined, '').config
const configured = (path: string) =>
  parseConfig(undefined, '', { GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: path }).config

describe('the signing key', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-key-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('is made once, for its owner only, with a name that says whose it is', async () => {
    assert.equal(findSigningKey(AUTOMATIC, folder), undefined)
    assert.equal(findSigningKey(AUTOMATIC, undefined), undefined)
    const made = await ensureSigningKey(AUTOMATIC, folder, silentLogger)
    assert.equal(made.origin, 'automatic')
    assert.equal(made.key.name, automaticKeyName())
    assert.match(made.key.name, /^gachix-[A-Za-z0-9.-]+-1$/)
    assert.equal((await stat(made.path)).mode & 0o777, 0o600)
    const again = await ensureSigningKey(AUTOMATIC, folder, silentLogger)
    assert.equal(again.key.secretText(), made.key.secretText())
    assert.deepEqual(await readdir(folder), ['gachix-signing-key'])
  })

  it('is the configured one when there is one, which must be there and be a key', async () => {
    const path = join(folder, 'own')
    const key = SecretKey.generate('own-1')
    await writeFile(path, `${key.secretText()}\n`)
    const found = findSigningKey(configured(path), folder)
    assert.deepEqual(
      [found?.key.secretText(), found?.origin, found?.path],
      [key.secretText(), 'configured', path],
    )

    const fails = (file: string, message: RegExp) =>
      assert.throws(() => findSigningKey(configured(file), folder), { code: 'ERR_SIGNING_KEY', message })
    fails(join(folder, 'gone'), /there is no .*gone/)
    fails(folder, /EISDIR/)
    await writeFile(path, 'own-1:AAAA')
    fails(path, /holds no key/)
    await writeFile(path, 'x'.repeat(5000))
    fails(path, /too large/)
  })

  it('is complained of when others may read it', async () => {
    const path = join(folder, 'open')
    await writeFile(path, SecretKey.generate('open-1').secretText())
    await chmod(path, 0o644)
    const lines: string[] = []
    const logger = createLogger({ pretty: false, destination: { write: (line) => lines.push(line) } })
    await ensureSigningKey(configured(path), folder, logger)
    assert.equal(lines.length, 1)
    assert.match(lines[0]!, /chmod 600/)
  })

  it('is written whole and never over another file unasked', async () => {
    const path = join(folder, 'file')
    const [first, second] = [SecretKey.generate('a-1'), SecretKey.generate('b-1')]
    await writeKeyFile(path, first)
    await assert.rejects(writeKeyFile(path, second), { code: 'ERR_SIGNING_KEY', message: /exists already/ })
    assert.equal(await readFile(path, 'utf8'), first.secretText())
    await writeKeyFile(path, second, { replace: true })
    assert.equal(await readFile(path, 'utf8'), second.secretText())
    await assert.rejects(writeKeyFile(join(folder, 'no/such/folder'), first), { message: /ENOENT/ })
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.tmp')),
      [],
    )
  })
})
