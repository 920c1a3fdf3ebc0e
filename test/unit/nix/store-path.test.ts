import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { checkStoreDir, compareStorePaths, isHashPart, StorePath } from '../../../src/nix/store-path.ts'
import { nixVectors } from '../../support/nix-vectors.ts'

const vectors = nixVectors<{
  valid: { path: string; storeDir: string; hash: string; name: string }[]
  invalid: { path: string; storeDir: string; why: string }[]
}>('store-path')

const HASH = 'r5zml96qwnsncick5k4gkki8g91qgbmg'
const INVALID = { code: 'ERR_STORE_PATH_INVALID' }

describe('store paths', () => {
  it('reads the golden cases', () => {
    for (const { path, storeDir, hash, name } of vectors.valid) {
      const parsed = StorePath.parse(path, storeDir)
      assert.deepEqual([parsed.storeDir, parsed.hash, parsed.name], [storeDir, hash, name])
      assert.equal(parsed.baseName, `${hash}-${name}`)
      assert.equal(String(parsed), path)
      assert.equal(JSON.stringify({ parsed }), JSON.stringify({ parsed: path }))
      assert.ok(StorePath.fromBaseName(parsed.baseName, storeDir).equals(parsed))
      assert.ok(StorePath.containing(path, storeDir).equals(parsed))
      assert.ok(StorePath.containing(`${path}/bin/x`, storeDir).equals(parsed))
      assert.ok(isHashPart(hash))
    }
  })

  it('refuses the invalid golden cases', () => {
    for (const { path, storeDir, why } of vectors.invalid) {
      assert.throws(() => StorePath.parse(path, storeDir), INVALID, why)
    }
  })

  it('finds the store path that a path lies in', () => {
    const path = `/nix/store/${HASH}-app`
    assert.equal(String(StorePath.containing(`${path}/`)), path)
    assert.equal(String(StorePath.containing(`${path}//share/..x`)), path)
    for (const bad of [
      '/nix/store',
      '/nix/store/',
      `${path}/../x`,
      `${path}/..`,
      '/home/me',
      `/nix/store/${HASH}`,
      '',
    ]) {
      assert.throws(() => StorePath.containing(bad), INVALID, bad)
    }
  })

  it('refuses hash parts that are none', () => {
    for (const bad of ['', HASH.slice(1), `${HASH}0`, HASH.toUpperCase(), `${HASH}\n`, `e${HASH.slice(1)}`]) {
      assert.ok(!isHashPart(bad), bad)
      assert.throws(() => new StorePath(bad, 'app'), INVALID)
    }
  })

  it('checks store directories', () => {
    for (const good of ['/nix/store', '/s', '/srv/a.b/...', '/é']) checkStoreDir(good)
    for (const bad of [
      '',
      '/',
      'nix/store',
      '/nix/store/',
      '/nix//store',
      '/nix/./store',
      '/nix/..',
      '/a b',
      '/a\n',
      '/\0',
    ]) {
      assert.throws(() => checkStoreDir(bad), INVALID, bad)
      assert.throws(() => new StorePath(HASH, 'app', bad), INVALID, bad)
    }
  })

  it('never takes a path apart otherwise than it puts it together', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(...'ab-./0') }).map((tail) => `${HASH}-${tail}`),
    )
    fc.assert(
      fc.property(text, (base) => {
        const path = `/nix/store/${base}`
        let parsed: StorePath
        try {
          parsed = StorePath.parse(path)
        } catch {
          return
        }
        assert.equal(String(parsed), path)
        assert.ok(!parsed.name.includes('/'))
      }),
    )
  })

  it('sorts by the bytes of base names', () => {
    const names = ['Z', 'a', '-', '+', '_', '?', '=', '.', '0', 'aa', 'a-', 'a.']
    const paths = names.map((name) => new StorePath(HASH, `x${name}`))
    paths.push(new StorePath('0'.repeat(32), 'z'), new StorePath('z'.repeat(32), '0'))
    const byBytes = paths.map(String).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    assert.deepEqual(paths.sort(compareStorePaths).map(String), byBytes)
    assert.equal(compareStorePaths(paths[0]!, paths[0]!), 0)
  })
})
