/** A disk that fails while a quarantine is closed: that is told, and nothing stays locked or open. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { Quarantine } from '../../../../src/store/api.ts'
import { GitPackageStore } from '../../../../src/store/package-store.ts'
import { SharedQuarantine } from '../../../../src/sync/source/shared-quarantine.ts'
import { noise } from '../../../support/git-fixture.ts'
import { directory, file, makePackage } from '../../../support/packages.ts'
import { folderFor, ROOMY, Sender, sent } from '../../../support/quarantine.ts'

const LARGE = makePackage('large', directory({ data: file(noise(500_000, 1)) }))
const SMALL = makePackage('small', directory({ data: file('a line\n') }))
const FAILURE = { code: 'ERR_FS_EISDIR' }

interface Place {
  readonly store: GitPackageStore
  /** Gives a quarantine a pack that is to be removed when it is closed, and cannot be. */
  readonly spoil: (quarantine: Quarantine) => Promise<void>
  /** Makes the disk whole again. */
  readonly mend: () => void
}

async function place(t: TestContext): Promise<Place> {
  const sender = await Sender.of(t, [LARGE, SMALL])
  const store = await GitPackageStore.open({ path: join(await folderFor(t), 'store') })
  let index = ''
  return {
    store,
    async spoil(quarantine) {
      await quarantine.receive(sent(await sender.pack(await sender.commits([LARGE, SMALL]))), ROOMY)
      await quarantine.admit(LARGE.info, await sender.commit(LARGE))
      await quarantine.publish()
      const root = join(store.ownDir, 'quarantine')
      const packs = join(root, readdirSync(root)[0]!, 'objects/pack')
      index = join(packs, readdirSync(packs).find((name) => name.endsWith('.idx'))!)
      rmSync(index)
      mkdirSync(index)
    },
    mend: () => rmSync(index, { recursive: true }),
  }
}

describe('a quarantine that cannot be cleaned up', () => {
  it('can be opened again', async (t) => {
    const { store, spoil, mend } = await place(t)
    const quarantine = await store.quarantine('a peer')
    await spoil(quarantine)
    await assert.rejects(quarantine.close(), FAILURE)
    mend()
    await (await store.quarantine('a peer')).close()
    await store.close()
  })

  it('is opened again for the next pull', async (t) => {
    const { store, spoil, mend } = await place(t)
    const shared = new SharedQuarantine((name) => store.quarantine(name))
    await assert.rejects(shared.use(spoil), FAILURE)
    mend()
    await shared.use(async (quarantine) => assert.equal(quarantine.has('0'.repeat(40)), false))
    await store.close()
  })

  it('does not keep the repository locked when the store is closed', async (t) => {
    const { store, spoil } = await place(t)
    await spoil(await store.quarantine('a peer'))
    await assert.rejects(store.close(), FAILURE)
    await (await GitPackageStore.open({ path: store.gitDir })).close()
  })
})

describe('a quarantine that is made ready', () => {
  it('is there for who uses it, and stays until nobody is about to', async (t) => {
    const { store } = await place(t)
    let opened = 0
    const shared = new SharedQuarantine((name) => {
      opened++
      return store.quarantine(name)
    })
    const release = shared.prepare()
    const first = await shared.use(async (quarantine) => quarantine)
    assert.equal(await shared.use(async (quarantine) => quarantine), first)
    assert.equal(opened, 1)
    await release()
    assert.notEqual(await shared.use(async (quarantine) => quarantine), first)
    assert.equal(opened, 2)
    await store.close()
  })

  it('that cannot be opened fails whoever uses it, and nobody else, and can be opened later', async (t) => {
    const { store } = await place(t)
    let isFull = true
    const shared = new SharedQuarantine(async (name) => {
      if (isFull) throw new Error('no room')
      return store.quarantine(name)
    })
    const release = shared.prepare()
    await assert.rejects(
      shared.use(async () => {}),
      /no room/,
    )
    isFull = false
    assert.equal(await shared.use(async (quarantine) => quarantine.has('0'.repeat(40))), false)
    await release()
    await shared.prepare()()
    await store.close()
  })
})
