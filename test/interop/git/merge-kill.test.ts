/** A process that dies while it merges packs loses nothing, at whatever point it is. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { fsck } from '../../support/gachix.ts'
import { addOneByOne, checkServed, MergeLog, numbered, packFiles } from '../../support/merging-store.ts'
import { attempt } from '../../support/process.ts'

const CHILD = join(import.meta.dirname, '../../support/merge-and-die.ts')
const PACKAGES = 5

describe('a merge, killed', () => {
  let root: string
  let prepared: string
  let ids: string[]

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'gachix-merge-kill-'))
    prepared = join(root, 'prepared')
    const store = await GitPackageStore.open({ path: prepared, shortLived: true })
    await addOneByOne(store, 1, 1 + PACKAGES)
    ids = await served(store)
    // Kept until the store is closed, so that it merges nothing at its end.
    const kept = packFiles(store).map((name) => join(prepared, 'objects/pack', name.replace(/pack$/, 'keep')))
    for (const file of kept) writeFileSync(file, '')
    await store.close()
    for (const file of kept) rmSync(file)
    assert.equal(packFiles(store).length, 2 * PACKAGES)
  })
  after(() => rmSync(root, { recursive: true }))

  /** Checks all packages; gives the ids of their gzip forms. */
  async function served(store: GitPackageStore): Promise<string[]> {
    const found: string[] = []
    for (let number = 1; number <= PACKAGES; number++) found.push(await checkServed(store, numbered(number)))
    return found
  }

  async function killedAt(change: number): Promise<boolean> {
    const path = join(root, `killed-${change}`)
    await cp(prepared, path, { recursive: true, preserveTimestamps: true })
    const { code, signal, stderr } = await attempt(process.execPath, [CHILD, path, String(change)])
    if (signal !== 'SIGKILL') assert.equal(code, 0, stderr)
    await fsck(path)
    const log = new MergeLog()
    const store = await GitPackageStore.open({ path, shortLived: true, logger: log.logger })
    assert.deepEqual(await served(store), ids)
    await addOneByOne(store, 100, 105)
    await store.close()
    assert.deepEqual(log.warnings, [])
    assert.ok(packFiles(store).length <= 8 + 1, 'it goes on afterwards')
    await fsck(path)
    rmSync(path, { recursive: true })
    return signal === 'SIGKILL'
  }

  // The first changes make the new pack visible, then each old pack loses its index, itself and what else it has.
  for (const change of [1, 2, 3, 4, 5, 6, 7, 8, 12, 30, 47]) {
    it(`before change ${change} to packs and sidecars`, async () => {
      assert.ok(await killedAt(change), 'it was killed')
    })
  }

  it('or not at all', async () => {
    assert.equal(await killedAt(100_000), false)
  })
})
