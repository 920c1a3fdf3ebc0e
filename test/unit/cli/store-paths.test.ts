import assert from 'node:assert/strict'
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { packageTarget, storePathOf } from '../../../src/cli/store-paths.ts'

describe('a package as people name it', () => {
  let folder: string
  let store: string
  const base = `${'0'.repeat(32)}-hello`
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'gachix-paths-')))
    store = join(folder, 'store')
    await mkdir(join(store, base, 'bin'), { recursive: true })
    await writeFile(join(store, base, 'bin/hello'), '')
    await symlink(join(store, base), join(folder, 'result'))
    await symlink(join(folder, 'result'), join(folder, 'again'))
  })
  after(() => rm(folder, { recursive: true }))

  it('is a store path, a path inside one, or links that lead to one', async () => {
    for (const text of [
      join(store, base),
      join(store, base, 'bin/hello'),
      `${store}/${base}/`,
      join(folder, 'result'),
      join(folder, 'again/bin/hello'),
    ]) {
      assert.equal(await storePathOf(text, store), join(store, base))
    }
  })

  it('need not exist on this machine when it is spelled as a store path', async () => {
    assert.equal(
      await storePathOf(`/elsewhere/store/${base}/x`, '/elsewhere/store'),
      `/elsewhere/store/${base}`,
    )
  })

  it('may also be a base name or a hash part where a package is looked up', async () => {
    assert.equal(await packageTarget(base, store), join(store, base))
    assert.equal(await packageTarget('0'.repeat(32), store), '0'.repeat(32))
    assert.equal(await packageTarget(join(folder, 'result'), store), join(store, base))
  })

  it('is refused as wrong usage otherwise', async () => {
    for (const text of [folder, join(folder, 'nothing'), store, join(store, 'x'), `${base}?\u0000`]) {
      await assert.rejects(storePathOf(text, store), { code: 'ERR_USAGE' }, text)
    }
    await assert.rejects(packageTarget(`${'0'.repeat(32)}-a b`, store), { code: 'ERR_USAGE' })
  })
})
