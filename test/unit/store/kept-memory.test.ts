/** What a store keeps of packages that were served: their plans, and not what else lay beside these in memory. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { chunksOf, file, makePackage } from '../../support/packages.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const PACKAGES = 300
/** Bytes for each package: a plan of one file takes some hundred, and slices of shared memory would keep up to 64 KiB. */
const MOST_KEPT = 4096

describe('a store whose packages have been served', () => {
  let path: string
  let store: GitPackageStore

  before(async () => {
    path = await mkdtemp(join(tmpdir(), 'gachix-kept-'))
    store = await GitPackageStore.open({ path })
    const session = store.ingest()
    for (let i = 0; i < PACKAGES; i++) {
      const { info, nar } = makePackage(`kept-${i}`, file(`contents ${i}\n`))
      await session.add(info, chunksOf(nar))
    }
    await session.finish()
    // Whoever adds a package keeps its plan already.
    await store.close()
    store = await GitPackageStore.open({ path })
  })
  after(async () => {
    await store.close()
    await rm(path, { recursive: true, force: true })
  })

  const buffers = async (): Promise<number> => {
    for (let i = 0; i < 3; i++) {
      collectGarbage()
      await turn()
    }
    return process.memoryUsage().arrayBuffers
  }

  it('keeps little of each', async (t) => {
    const packages = Array.from({ length: PACKAGES }, (_, i) => makePackage(`kept-${i}`, file('')))
    // Memory that all share comes with the first.
    for await (const chunk of store.nar(packages[0]!.info)) assert.ok(chunk.length > 0)
    const before = await buffers()
    for (const { info } of packages) {
      for await (const chunk of store.nar(info)) assert.ok(chunk.length > 0)
      // As anything does that goes on between two requests.
      for (let i = 0; i < 2000; i++) Buffer.from('what Node shares out in slices of 64 KiB')
    }
    const kept = (await buffers()) - before
    t.diagnostic(`${Math.round(kept / PACKAGES)} bytes a package`)
    assert.ok(kept < PACKAGES * MOST_KEPT, `${kept} bytes for ${PACKAGES} packages`)
  })
})
