import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { ConfigError } from '../../../src/config/errors.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { MAX_FILE_SIZE } from '../../../src/config/yaml.ts'

describe('loadConfig', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-config-'))
  })
  after(() => rm(folder, { recursive: true }))

  async function file(content: string | Uint8Array): Promise<string> {
    const path = join(folder, 'gachix.yaml')
    await writeFile(path, content)
    return path
  }

  const fails = (path: string, message: RegExp) =>
    assert.throws(
      () => loadConfig({ file: path }),
      (error: Error) =>
        error instanceof ConfigError && error.message.startsWith(`${path}`) && message.test(error.message),
    )

  it('reads the named file and keeps relative paths as they are', async () => {
    const path = await file('store:\n  path: relative/cache\n')
    const { config, origins } = loadConfig({ file: path })
    assert.equal(config.store.path, 'relative/cache')
    assert.deepEqual(origins.get('store.path'), { from: 'file', file: path, line: 2 })
  })

  it('needs no file, and then looks for none', () => {
    assert.equal(loadConfig().config.store.path, './cache')
    assert.equal(loadConfig({ env: { GACHIX__STORE__PATH: 'x' } }).config.store.path, 'x')
  })

  it('fails by name for a file that is missing, a directory, too large or not text', async () => {
    fails(join(folder, 'missing.yaml'), /cannot be read: ENOENT/)
    fails(folder, /cannot be read: EISDIR/)
    fails(await file(Buffer.alloc(MAX_FILE_SIZE + 1, '#')), /larger than/)
    fails(await file(Buffer.from([0x61, 0xff, 0x3a])), /not UTF-8/)
  })
})
