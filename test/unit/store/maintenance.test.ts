/** Packs stay few by themselves, and nobody who reads them notices. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { GitPackageStore, type PackageStoreOptions } from '../../../src/store/package-store.ts'
import { collect } from '../../support/collect.ts'
import { fsck } from '../../support/gachix.ts'
import {
  addAll,
  addOneByOne,
  checkServed,
  idsOf,
  MergeLog,
  numbered,
  packFiles,
  sidecars,
} from '../../support/merging-store.ts'
import { until } from '../../support/process.ts'

describe('the packs of a store', () => {
  let root: string
  let path: string
  let log: MergeLog
  let stores: GitPackageStore[]

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'gachix-merge-'))
    path = join(root, 'repository')
    log = new MergeLog()
    stores = []
  })
  afterEach(async () => {
    for (const store of stores) await store.close()
    rmSync(root, { recursive: true })
  })

  async function open(options: Partial<PackageStoreOptions> = {}): Promise<GitPackageStore> {
    const store = await GitPackageStore.open({ path, logger: log.logger, ...options })
    stores.push(store)
    return store
  }

  async function close(store: GitPackageStore): Promise<void> {
    stores.splice(stores.indexOf(store), 1)
    await store.close()
  }

  /** Adds packages one by one with commands that merge nothing, as their stores are closed when there are few packs. */
  async function addUnmerged(from: number, to: number): Promise<void> {
    for (let number = from; number < to; number += 4) {
      const store = await open({ shortLived: true })
      await addOneByOne(store, number, Math.min(to, number + 4))
      // What would be merged at the end is kept this time.
      const kept = packFiles(store).map((name) => join(path, 'objects/pack', name.replace(/pack$/, 'keep')))
      for (const file of kept) writeFileSync(file, '')
      await close(store)
      for (const file of kept) rmSync(file)
    }
  }

  /** Waits until the packs are as few as they get. */
  async function settled(store: GitPackageStore, most: number): Promise<void> {
    await until(
      () => `at most ${most} packs: ${packFiles(store).length}; ${log.warnings}`,
      async () => (packFiles(store).length <= most ? true : undefined),
    )
  }

  it('keeps packs few while packages are added one by one', async () => {
    const store = await open()
    const ids = new Map<number, string>()
    for (let number = 0; number < 40; number++) {
      await addAll(store, [numbered(number)])
      ids.set(number, await checkServed(store, numbered(number)))
    }
    // 80 packs were written; 8 stay in any case, and what one more add brings.
    await settled(store, 10)
    assert.ok(log.merges > 3, `${log.merges} merges`)
    assert.deepEqual(log.warnings, [])
    for (const [number, id] of ids) assert.equal(await checkServed(store, numbered(number)), id)
    await until(
      () => 'a sidecar for every pack, an index for every pack, nothing else',
      async () =>
        String(idsOf(sidecars(store))) === String(idsOf(packFiles(store))) &&
        String(idsOf(packFiles(store, '.idx'))) === String(idsOf(packFiles(store)))
          ? true
          : undefined,
    )
    await close(store)
    await fsck(path)
    const again = await open()
    for (const [number, id] of ids) assert.equal(await checkServed(again, numbered(number)), id)
  })

  it('merges when a repository is opened that has many packs', async () => {
    await addUnmerged(0, 12)
    assert.equal(packFiles({ gitDir: path }).length, 24)
    assert.equal(log.merges, 0)
    const store = await open()
    await settled(store, 8)
    for (let number = 0; number < 12; number++) await checkServed(store, numbered(number))
    await close(store)
    await fsck(path)
  })

  it('merges at the end of a command, and not when it only reads', async () => {
    await addUnmerged(0, 8)
    const reader = await open({ shortLived: true })
    await checkServed(reader, numbered(3))
    await close(reader)
    assert.equal(packFiles(reader).length, 16)
    const store = await open({ shortLived: true })
    await addOneByOne(store, 8, 10)
    assert.equal(packFiles(store).length, 20, 'nothing is merged before the end')
    await close(store)
    assert.ok(packFiles(store).length <= 8)
    assert.equal(log.merges, 1)
    assert.deepEqual(log.warnings, [])
    await fsck(path)
  })

  it('serves every byte while packs are merged under its readers', async () => {
    const store = await open()
    await addOneByOne(store, 0, 6)
    const before = log.merges
    const ids = new Map<number, Set<string>>()
    const work = new AbortController()
    let rounds = 0
    const reader = async (first: number): Promise<void> => {
      for (let number = first; !work.signal.aborted; number = (number + 1) % 6) {
        const id = await checkServed(store, numbered(number), () => setImmediate())
        ids.set(number, (ids.get(number) ?? new Set()).add(id))
        rounds++
      }
    }
    const readers = Promise.all([0, 3, 5].map(reader))
    readers.catch(() => work.abort())
    for (let number = 6; number < 26 && !work.signal.aborted; number++)
      await addAll(store, [numbered(number)])
    work.abort()
    await readers
    assert.ok(rounds > 12, `${rounds} NARs were read`)
    assert.ok(log.merges - before > 2, `${log.merges - before} merges`)
    assert.deepEqual(log.warnings, [])
    for (const [number, seen] of ids) assert.equal(seen.size, 1, `one gzip id of package ${number}`)
  })

  it('finishes responses whose packs are merged away in the middle of a file', async () => {
    const store = await open()
    await addAll(store, [numbered(0)])
    const { info, nar } = numbered(0)
    const found = await store.package(info.storePath.hash)
    assert.ok(found)
    const bodies = [await store.openNar(found.tree, 'none'), await store.openNar(found.tree, 'gzip')]
    const whole = await Promise.all(bodies.map((body) => collect(body!.read())))
    const readings = bodies.map((body) => body!.read()[Symbol.asyncIterator]())
    const received: Uint8Array[][] = await Promise.all(
      readings.map(async (reading) => [(await reading.next()).value as Uint8Array]),
    )
    const before = packFiles(store)
    for (let number = 5; number <= 25; number += 5) await addAll(store, [numbered(number)])
    await until(
      () => `the removal of ${before}`,
      async () => (packFiles(store).some((name) => before.includes(name)) ? undefined : true),
    )
    for (const [i, reading] of readings.entries()) {
      for (let next = await reading.next(); next.done !== true; next = await reading.next()) {
        received[i]!.push(next.value)
      }
      assert.ok(Buffer.concat(received[i]!).equals(whole[i]!))
    }
    assert.ok(whole[0]!.equals(nar))
  })
})
