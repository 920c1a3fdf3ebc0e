import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { addPackages, PackageFailedError } from '../../../src/ingest/add.ts'
import { PathNotFoundError } from '../../../src/ingest/closure.ts'
import type { AddEvent } from '../../../src/store/add-event.ts'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { AbortedError } from '../../../src/util/errors.ts'
import { MemorySource, storePathOf } from '../../support/memory-source.ts'

let folder: string
let store: GitPackageStore
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-add-'))
  store = await GitPackageStore.open({ path: join(folder, 'repository') })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

const path = storePathOf
const has = (name: string) => store.has(path(name).hash)
const DIAMOND = { top: ['left', 'right', 'top'], left: ['bottom'], right: ['bottom'], bottom: [] }

test('a closure is added, told about, and not read a second time', async () => {
  const source = new MemorySource(DIAMOND)
  const events: AddEvent[] = []
  const result = await addPackages(store, source, [path('top')], { onEvent: (event) => events.push(event) })
  const infos = await Promise.all(Object.keys(DIAMOND).map((name) => source.pathInfo(path(name))))
  const bytes = infos.reduce((sum, info) => sum + info!.narSize, 0)
  assert.deepEqual({ ...result, stored: 0 }, { paths: 4, added: 4, present: 0, bytes, stored: 0 })
  assert.ok(result.stored > 0)
  assert.deepEqual(events[0], { type: 'closure', paths: 4, bytes, missing: 4, missingBytes: bytes })
  const packages = events.filter((event) => event.type === 'package')
  assert.deepEqual(
    packages.map((event) => event.path).sort(),
    infos.map((info) => String(info!.storePath)).sort(),
  )
  assert.ok(packages.every((event) => event.outcome === 'added'))
  assert.deepEqual(events.at(-1), { type: 'bytes', bytes })
  for (const name of Object.keys(DIAMOND)) assert.ok((await store.package(path(name).hash))?.commit)

  const again = new MemorySource({ ...DIAMOND, more: ['left'] })
  const more = await addPackages(store, again, [path('top'), path('more')])
  assert.deepEqual({ ...more, bytes: 0, stored: 0 }, { paths: 3, added: 1, present: 2, bytes: 0, stored: 0 })
  assert.deepEqual(again.asked, ['more'])
  assert.deepEqual(again.read, ['more'])
})

test('single adds the named packages alone, and a later add completes them', async () => {
  const source = new MemorySource(DIAMOND)
  const alone = await addPackages(store, source, [path('top'), path('top')], { single: true })
  assert.deepEqual([alone.paths, alone.added], [1, 1])
  assert.deepEqual(source.read, ['top'])
  assert.ok(has('top') && !has('left'))
  assert.ok(!store.hasClosure(path('top').hash))
  assert.equal((await addPackages(store, source, [path('top')], { single: true })).present, 1)

  const whole = await addPackages(store, source, [path('top')])
  assert.equal(whole.paths, 4)
  assert.ok(store.hasClosure(path('top').hash))
  assert.ok((await store.package(path('top').hash))?.commit)
})

test('when a package fails, what does not need it is published and the error names it', async () => {
  const source = new MemorySource({ top: ['bad', 'good'], bad: [], good: ['fine'], fine: [] })
  source.corrupt('bad')
  await assert.rejects(
    addPackages(store, source, [path('good'), path('top')], { concurrency: 1 }),
    (error: Error) => {
      assert.ok(error instanceof PackageFailedError)
      assert.equal(error.code, 'ERR_NAR_MISMATCH')
      assert.equal(error.path, String(path('bad')))
      assert.ok(error.message.includes(String(path('bad'))))
      return true
    },
  )
  assert.deepEqual(['fine', 'good', 'bad', 'top'].map(has), [true, true, false, false])
})

test('a missing path adds nothing', async () => {
  const source = new MemorySource({ top: ['here', 'gone'], here: [] })
  await assert.rejects(addPackages(store, source, [path('top')]), PathNotFoundError)
  await assert.rejects(addPackages(store, source, [path('gone')], { single: true }), PathNotFoundError)
  assert.equal(store.size, 0)
  assert.deepEqual(source.read, [])
})

test('an abort leaves only complete packages', async () => {
  const abort = new AbortController()
  const names = Array.from({ length: 30 }, (_, i) => `p${i}`)
  const source = new MemorySource(
    Object.fromEntries(names.map((name, i) => [name, names.slice(Math.max(0, i - 2), i)])),
  )
  const onEvent = (event: AddEvent) => {
    if (event.type === 'package' && event.path.endsWith('-p10')) abort.abort()
  }
  const adding = addPackages(store, source, [path('p29')], { signal: abort.signal, onEvent })
  await assert.rejects(adding, AbortedError)
  assert.ok(!has('p29'))
  for (const entry of store.entries()) {
    const { info } = (await store.package(entry.hash))!
    assert.ok(info.references.every((reference) => store.has(reference.hash)))
  }
  assert.equal((await addPackages(store, source, [path('p29')])).paths > 0, true)
  assert.ok(names.every(has))
})
