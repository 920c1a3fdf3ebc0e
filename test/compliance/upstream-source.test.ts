/** Binary caches that the real Nix wrote, in every compression, behind nginx and in a folder. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { walkClosure } from '../../src/ingest/closure.ts'
import { COMPRESSIONS } from '../../src/ingest/upstream/codec/decompress.ts'
import { createUpstreamSource } from '../../src/ingest/upstream/source.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { Nginx } from '../support/nginx.ts'
import { NixStore } from '../support/nix.ts'
import { pathInfoOf } from '../support/nix-facts.ts'
import { eachOf } from '../support/process.ts'
import { packageSourceSuite } from './package-source-suite.ts'

const folder = mkdtempSync(join(tmpdir(), 'gachix-upstream-'))
const cacheFolder = (compression: string) => join(folder, compression)
let nginx: Nginx
let packages: PathInfo[]

before(async () => {
  await using nix = await NixStore.start()
  const roots = await nix.build(['executable', 'symlink', 'plain'])
  packages = (await nix.facts(await nix.closure(roots))).map(pathInfoOf)
  await eachOf(COMPRESSIONS, 2, async (compression) => {
    const to = `file://${cacheFolder(compression)}?compression=${compression}`
    await nix.inside(['nix', 'copy', '--to', to, ...roots])
  })
  nginx = await Nginx.start(COMPRESSIONS.map(cacheFolder))
})
after(async () => {
  await nginx?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

for (const [index, compression] of COMPRESSIONS.entries()) {
  packageSourceSuite(`a binary cache of ${compression} files behind nginx`, async () => {
    const source = createUpstreamSource({ url: nginx.url(index), name: 'upstream' })
    return { source, packages, close: async () => source.close() }
  })
}

packageSourceSuite('a binary cache in a folder', async () => {
  const source = createUpstreamSource({ url: `file://${cacheFolder('zstd')}`, name: 'upstream' })
  return { source, packages, close: async () => source.close() }
})

test('a closure is walked through nginx', async () => {
  const source = createUpstreamSource({ url: nginx.url(0), name: 'upstream' })
  const roots = packages.map(({ storePath }) => storePath)
  assert.equal((await walkClosure(source, roots)).length, packages.length)
  source.close()
})
