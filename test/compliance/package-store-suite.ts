import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { PackageStore } from '../../src/store/api.ts'
import { collect } from '../support/collect.ts'
import {
  chunksOf,
  directory,
  file,
  type MadePackage,
  makePackage,
  sampleClosure,
} from '../support/packages.ts'

/** An empty store and what closes and removes it. */
export interface StoreFixture {
  readonly store: PackageStore
  close(): Promise<void>
}

/** What every `PackageStore` does beyond being a source (`src/store/api.ts`). */
export function packageStoreSuite(name: string, open: () => Promise<StoreFixture>): void {
  describe(`${name} as a PackageStore`, () => {
    let fixture: StoreFixture
    let store: PackageStore

    beforeEach(async () => {
      fixture = await open()
      store = fixture.store
    })
    afterEach(() => fixture.close())

    async function addAll(packages: readonly MadePackage[]): Promise<void> {
      const session = store.ingest()
      await Promise.all(packages.map(({ info, nar }) => session.add(info, chunksOf(nar))))
      await session.finish()
    }

    function assertAbsent(one: MadePackage): Promise<void> {
      const { hash } = one.info.storePath
      assert.equal(store.has(hash), false)
      return store.package(hash).then((found) => assert.equal(found, undefined))
    }

    it('publishes what a session added, in any order', async () => {
      const samples = sampleClosure()
      await addAll(samples.toReversed())
      assert.equal(store.size, samples.length)
      const hashes = samples.map(({ info }) => info.storePath.hash).sort()
      assert.deepEqual(
        [...store.entries()].map(({ hash }) => hash),
        hashes,
      )
      for (const { info } of samples) assert.ok(store.hasClosure(info.storePath.hash))
    })

    it('serves plain and gzip bodies of exact size, whole and in part', async () => {
      const samples = sampleClosure()
      await addAll(samples)
      for (const { info, nar } of samples) {
        const found = await store.package(info.storePath.hash)
        assert.ok(found)
        for (const encoding of ['none', 'gzip'] as const) {
          const body = await store.openNar(found.tree, encoding)
          assert.ok(body, `${encoding} of ${info.storePath.name}`)
          const bytes = await collect(body.read())
          assert.equal(bytes.length, body.size)
          assert.ok((encoding === 'gzip' ? gunzipSync(bytes) : bytes).equals(nar))
          const middle = Math.floor(bytes.length / 2)
          for (const [start, end] of [
            [0, 0],
            [0, 1],
            [bytes.length - 1, bytes.length],
            [middle, bytes.length],
            [7, middle],
          ] as const) {
            const part = await collect(body.read({ start, end }))
            assert.ok(part.equals(bytes.subarray(start, end)), `${encoding} ${start}-${end}`)
          }
          for await (const chunk of body.read()) assert.ok(chunk.length <= 256 * 1024)
        }
        assert.equal(found.gzip?.size, (await store.openNar(found.tree, 'gzip'))?.size)
        assert.equal(found.gzip?.id, (await store.openNar(found.tree, 'gzip'))?.id)
      }
    })

    it('lists the files of a package with their offsets', async () => {
      const samples = sampleClosure()
      await addAll(samples)
      const tool = samples.find(({ info }) => info.storePath.name === 'tool')!
      const listing = JSON.parse((await store.listing(tool.info.storePath.hash))!)
      assert.equal(listing.version, 1)
      const entry = listing.root.entries.bin.entries.tool
      assert.equal(entry.executable, true)
      const text = tool.nar.subarray(entry.narOffset, entry.narOffset + entry.size).toString()
      assert.ok(text.startsWith('k and no play'))
      assert.deepEqual(listing.root.entries.share.entries.nothing, { type: 'directory', entries: {} })
      assert.equal(await store.listing('0'.repeat(32)), undefined)
    })

    it('knows no tree that is not there', async () => {
      assert.equal(await store.openNar('0'.repeat(40), 'none'), undefined)
      assert.equal(await store.openNar('not a tree', 'none'), undefined)
    })

    it('tells that a package is present already', async () => {
      const [libc] = sampleClosure()
      await addAll([libc!])
      const session = store.ingest()
      assert.equal(await session.add(libc!.info, chunksOf(libc!.nar)), 'present')
      await session.finish()
      assert.equal(store.size, 1)
    })

    it('adds a package once that is added twice at the same time', async () => {
      const [libc] = sampleClosure()
      const session = store.ingest()
      const outcomes = await Promise.all([1, 2].map(() => session.add(libc!.info, chunksOf(libc!.nar))))
      await session.finish()
      assert.deepEqual(outcomes.sort(), ['added', 'present'])
    })

    it('refuses a NAR of another hash, size or form, and goes on', async () => {
      const [libc, empty] = sampleClosure() as [MadePackage, MadePackage]
      const other = makePackage('other', directory({ a: file('x') }))
      const session = store.ingest()
      const refused = async (nar: AsyncIterable<Uint8Array>, code: string): Promise<void> => {
        await assert.rejects(session.add(libc.info, nar), { code })
      }
      const flipped = Buffer.from(libc.nar)
      flipped[libc.nar.length - 200_000]! ^= 1
      await refused(chunksOf(flipped), 'ERR_NAR_MISMATCH')
      await refused(chunksOf(other.nar), 'ERR_NAR_MISMATCH')
      await refused(chunksOf(Buffer.concat([libc.nar, Buffer.alloc(8)])), 'ERR_NAR_MISMATCH')
      await refused(chunksOf(libc.nar.subarray(0, 100_000)), 'ERR_NAR_INVALID')
      await refused(chunksOf(Buffer.alloc(libc.nar.length)), 'ERR_NAR_INVALID')
      await session.add(empty.info, chunksOf(empty.nar))
      await session.finish()
      await assertAbsent(libc)
      assert.equal(store.size, 1)
    })

    it('passes on what the source throws, and can take the package after all', async () => {
      const [libc] = sampleClosure() as [MadePackage]
      const session = store.ingest()
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield libc.nar.subarray(0, 150_000)
        throw new Error('the source broke')
      }
      await assert.rejects(session.add(libc.info, broken()), { message: 'the source broke' })
      assert.equal(await session.add(libc.info, chunksOf(libc.nar)), 'added')
      await session.finish()
      assert.ok(store.has(libc.info.storePath.hash))
    })

    it('publishes nothing whose references are missing, and says which', async () => {
      const samples = sampleClosure()
      const script = samples.find(({ info }) => info.storePath.name === 'script')!
      const session = store.ingest()
      await session.add(script.info, chunksOf(script.nar))
      await assert.rejects(session.finish(), { code: 'ERR_MISSING_REFERENCE', message: /libc/ })
      await assertAbsent(script)
    })

    it('publishes a package alone when asked, and completes it later', async () => {
      const samples = sampleClosure()
      const script = samples.find(({ info }) => info.storePath.name === 'script')!
      const session = store.ingest()
      await session.add(script.info, chunksOf(script.nar), { single: true })
      await session.finish()
      const { hash } = script.info.storePath
      assert.ok(store.has(hash))
      assert.equal(store.hasClosure(hash), false)
      assert.equal((await store.package(hash))?.commit, undefined)
      await addAll(samples)
      assert.ok(store.hasClosure(hash))
      assert.match((await store.package(hash))!.commit!, /^[0-9a-f]{40}$/)
    })

    it('publishes nothing of a session that is given up', async () => {
      const samples = sampleClosure()
      const session = store.ingest()
      await session.add(samples[0]!.info, chunksOf(samples[0]!.nar))
      await session.abort()
      await assertAbsent(samples[0]!)
      await assert.rejects(session.add(samples[1]!.info, chunksOf(samples[1]!.nar)), { code: 'ERR_ABORTED' })
      await addAll(samples)
      assert.equal(store.size, samples.length)
    })

    it('stops adding when told to', async () => {
      const [libc] = sampleClosure() as [MadePackage]
      const session = store.ingest()
      const controller = new AbortController()
      const halting = async function* (): AsyncGenerator<Uint8Array> {
        yield libc.nar.subarray(0, 100)
        controller.abort()
        yield libc.nar.subarray(100)
      }
      await assert.rejects(session.add(libc.info, halting(), { signal: controller.signal }))
      await session.finish()
      await assertAbsent(libc)
    })
  })
}
