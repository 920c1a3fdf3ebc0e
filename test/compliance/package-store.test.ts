import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { packageStoreSuite } from './package-store-suite.ts'

packageStoreSuite('the Git store', async () => {
  const root = mkdtempSync(join(tmpdir(), 'gachix-store-'))
  const store = await GitPackageStore.open({ path: join(root, 'repository') })
  return {
    store,
    async close() {
      await store.close()
      rmSync(root, { recursive: true })
    },
  }
})
