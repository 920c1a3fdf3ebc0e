/** A disk that fails while a quarantine is closed: that is told, and nothing stays locked or open. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { GitPackageStore } from '../../../../src/store/package-store.ts'
import { noise } from '../../../support/git-fixture.ts'
import { directory, file, makePackage } from '../../../support/packages.ts'
import { folderFor, ROOMY, Sender, sent } from '../../../support/quarantine.ts'

const LARGE = makePackage('large', directory({ data: file(noise(500_000, 1)) }))
const SMALL = makePackage('small', directory({ data: file('a line\n') }))

interface Broken {
  readonly store: GitPackageStore
  readonly close: () => Promise<void>
  /** Makes the disk whole again. */
  readonly mend: () => void
}

/** A quarantine that has a pack to remove when it is closed, and cannot. */
async function broken(t: TestContext): Promise<Broken> {
  const sender = await Sender.of(t, [LARGE, SMALL])
  const store = await GitPackageStore.open({ path: join(await folderFor(t), 'store') })
  const quarantine = await store.quarantine('a peer')
  await quarantine.receive(sent(await sender.pack(await sender.commits([LARGE, SMALL]))), ROOMY)
  await quarantine.admit(LARGE.info, await sender.commit(LARGE))
  await quarantine.publish()
  const root = join(store.ownDir, 'quarantine')
  const packs = join(root, readdirSync(root)[0]!, 'objects/pack')
  const index = join(packs, readdirSync(packs).find((name) => name.endsWith('.idx'))!)
  rmSync(index)
  mkdirSync(index)
  return { store, close: () => quarantine.close(), mend: () => rmSync(index, { recursive: true }) }
}

describe('a quarantine that cannot be cleaned up', () => {
  it('can be opened again', async (t) => {
    const { store, close, mend } = await broken(t)
    await assert.rejects(close(), { code: 'ERR_FS_EISDIR' })
    mend()
    await (await store.quarantine('a peer')).close()
    await store.close()
  })

  it('does not keep the repository locked when the store is closed', async (t) => {
    const { store } = await broken(t)
    await assert.rejects(store.close(), { code: 'ERR_FS_EISDIR' })
    await (await GitPackageStore.open({ path: store.gitDir })).close()
  })
})
