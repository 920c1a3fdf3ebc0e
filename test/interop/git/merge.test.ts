/** Merging packs by copying entries, held against git. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { chmod, open, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { ObjectDatabase } from '../../../src/git/object-database.ts'
import { UnmergeablePackError } from '../../../src/git/object-errors.ts'
import type { Oid } from '../../../src/git/oid.ts'
import { containsDeltas, type MergeOptions, mergePacks } from '../../../src/git/pack/merge.ts'
import type { Pack } from '../../../src/git/pack/pack.ts'
import { NO_RECORD, type SpliceRecord } from '../../../src/git/splice/record.ts'
import { Sidecar } from '../../../src/git/splice/sidecar.ts'
import { collect } from '../../support/collect.ts'
import { history, noise, prose } from '../../support/git-fixture.ts'
import { databaseOf } from '../../support/object-database.ts'
import { PackPlace } from '../../support/pack-place.ts'

describe('mergePacks', () => {
  /** Sidecars of packs, opened as they are asked for. */
  function recordsIn(t: TestContext, spliceDir: string): (pack: Pack, position: number) => SpliceRecord {
    const open = new Map<string, Sidecar | undefined>()
    t.after(() => {
      for (const sidecar of open.values()) sidecar?.close()
    })
    return (pack, position) => {
      if (!open.has(pack.id))
        open.set(pack.id, Sidecar.open(join(spliceDir, `${pack.id}.splice`), pack.id, pack.index.count))
      return open.get(pack.id)?.record(position) ?? NO_RECORD
    }
  }

  async function placeFor(t: TestContext): Promise<{ place: PackPlace; options: MergeOptions }> {
    const place = await PackPlace.create(t)
    const { tmpDir, packDir, spliceDir } = place
    return { place, options: { tmpDir, packDir, spliceDir, recordOf: recordsIn(t, spliceDir) } }
  }

  const oldestFirst = (database: ObjectDatabase): Pack[] => database.packs().toReversed()

  /** What serving a blob spliced depends on. */
  function placeOf(
    database: ObjectDatabase,
    recordOf: MergeOptions['recordOf'],
    oid: Oid,
  ): Record<string, unknown> {
    const found = database.deflated(oid)
    assert.ok(found, oid)
    const { pack, position, dataLength, size, type } = found
    return { crc32: pack.index.crc32At(position), dataLength, size, type, record: recordOf(pack, position) }
  }

  it('gives one pack with the entries and records of all, which git finds sound', async (t) => {
    const { place, options } = await placeFor(t)
    const { fixture } = place
    const large = Buffer.concat([noise(2_500_000, 1), prose(3_000_000, 2)])
    await place.write([Buffer.alloc(0), Buffer.from('a'), prose(100_000, 3)], 40)
    await place.write([large], 30)
    await place.write(
      Array.from({ length: 700 }, (_, i) => prose(i * 3, i)),
      20,
    )
    await place.write([noise(1_200_000, 5), Buffer.from('last')], 10)
    const before = await fixture.objects()
    const database = await databaseOf(t, fixture)
    const places = before.map(({ oid }) => placeOf(database, options.recordOf, oid))
    const packs = oldestFirst(database)
    const { written, superseded } = await mergePacks(packs, options)
    assert.ok(written)
    assert.equal(written.objects, before.length)
    assert.deepEqual(superseded, packs)
    const merged = await database.addPack(written.path)
    for (const pack of packs) assert.equal(database.removePack(pack.id), true)
    assert.deepEqual(database.packs(), [merged])
    assert.deepEqual(
      before.map(({ oid }) => placeOf(database, options.recordOf, oid)),
      places,
    )
    for (const { oid } of before) await database.verify(oid)
    assert.equal(written.size, statSync(written.path).size + statSync(index(written.path)).size)

    for (const pack of packs) for (const file of [pack.path, index(pack.path)]) await unlink(file)
    await fixture.git('index-pack', '--strict', '--verify', written.path)
    await fixture.git('fsck', '--strict', '--full', '--no-dangling')
    assert.deepEqual(await fixture.objects(), before)
    // The index is the one that git would make.
    const copy = join(fixture.root, 'copy.idx')
    await fixture.git('index-pack', '-o', copy, written.path)
    assert.ok(readFileSync(copy).equals(readFileSync(index(written.path))))
    assert.deepEqual(readdirSync(options.tmpDir), [])
  })

  it('keeps the copy that look-up finds before, and the entries in their order', async (t) => {
    const { place, options } = await placeFor(t)
    const { fixture } = place
    const shared = prose(200_000, 1)
    const [oid] = (await place.write([shared, Buffer.from('first')], 30, 1)).oids
    await place.write([Buffer.from('second'), shared, Buffer.from('third')], 20, 9)
    await place.write([shared, Buffer.from('fourth')], 10, 4)
    const database = await databaseOf(t, fixture)
    const packs = oldestFirst(database)
    const wanted = placeOf(database, options.recordOf, oid!)
    const { written } = await mergePacks(packs, options)
    assert.equal(written?.objects, 5)
    const merged = await database.addPack(written.path)
    assert.equal(database.packs()[0], merged, 'it takes the place of its newest source')
    const newest = Math.max(...packs.map(({ mtimeMs }) => mtimeMs))
    assert.ok(merged.mtimeMs > newest && merged.mtimeMs < newest + 10)
    assert.deepEqual(placeOf(database, options.recordOf, oid!), wanted)
    const contents: string[] = []
    for (const position of merged.index.packOrder()) {
      const { data } = await database.read(merged.index.oidAt(position))
      contents.push(data.length < 10 ? data.toString() : 'shared')
    }
    assert.deepEqual(contents, ['first', 'second', 'third', 'shared', 'fourth'])
  })

  it('leaves out what stands elsewhere, and writes nothing when nothing is left or one pack has it all', async (t) => {
    const { place, options } = await placeFor(t)
    const { fixture } = place
    const [a, b] = (await place.write([Buffer.from('a'), Buffer.from('b')], 20)).oids
    await place.write([Buffer.from('b'), Buffer.from('c')], 10)
    const database = await databaseOf(t, fixture)
    const packs = oldestFirst(database)
    const part = await mergePacks(packs, { ...options, leaveOut: (oid) => oid === b })
    assert.equal(part.written?.objects, 2)
    const names = readdirSync(options.packDir)
    const nothing = await mergePacks(packs, { ...options, leaveOut: () => true })
    assert.deepEqual(nothing, { written: undefined, superseded: packs })
    const whole = await mergePacks(packs, { ...options, leaveOut: (oid) => oid === a })
    assert.deepEqual(whole, { written: undefined, superseded: [packs[0]] })
    assert.deepEqual(readdirSync(options.packDir), names)
  })

  it('is given up without a trace', async (t) => {
    const { place, options } = await placeFor(t)
    const { fixture } = place
    for (const age of [20, 10]) await place.write([noise(3_000_000, age), prose(5000, age)], age)
    const database = await databaseOf(t, fixture)
    const state = () => [options.tmpDir, options.packDir, options.spliceDir].map((path) => readdirSync(path))
    const before = state()
    // Aborted at each of its pauses in turn, up to the one where it gets through.
    let aborted = 0
    for (let pauses = 1; ; pauses++) {
      const merging = mergePacks(oldestFirst(database), { ...options, signal: abortedAfter(pauses) })
      const failure = await merging.then(
        () => undefined,
        (error: unknown) => error as { code?: string },
      )
      if (failure === undefined) break
      assert.equal(failure.code, 'ERR_ABORTED')
      assert.deepEqual(state(), before)
      aborted++
      if (pauses > 10 && pauses < 256) pauses = 256
    }
    assert.ok(aborted > 15, `${aborted} pauses`)
  })

  it('refuses a damaged pack and leaves everything as it is', async (t) => {
    const { place, options } = await placeFor(t)
    const { fixture } = place
    await place.write([prose(10_000, 1)], 20)
    await place.write([prose(1_500_000, 2), Buffer.from('x')], 10)
    const database = await databaseOf(t, fixture)
    const [, damaged] = oldestFirst(database) as [Pack, Pack]
    const sound = await readFile(damaged.path)
    await chmod(damaged.path, 0o600)
    const names = readdirSync(options.packDir)
    for (const at of [12, 500, sound.length - 30]) {
      const file = await open(damaged.path, 'r+')
      await file.write(Buffer.of(sound[at]! ^ 0x40), 0, 1, at)
      await file.close()
      await assert.rejects(mergePacks(oldestFirst(database), options), (error: unknown) => {
        assert.ok(error instanceof UnmergeablePackError)
        assert.equal(error.packId, damaged.id)
        assert.match(error.message, /stays as it is/)
        return true
      })
      assert.deepEqual(readdirSync(options.packDir), names)
      assert.deepEqual(readdirSync(options.tmpDir), [])
      await writeFile(damaged.path, sound)
    }
    assert.ok((await mergePacks(oldestFirst(database), options)).written)
  })

  it('merges whole objects that git packed, and no deltas', async (t) => {
    const { place, options } = await placeFor(t)
    const { fixture } = place
    await fixture.fastImport(history().slice(0, 3))
    await fixture.git('repack', '-adfq', '--window=0')
    await place.write([prose(5000, 77)], 10)
    const database = await databaseOf(t, fixture)
    for (const pack of database.packs()) assert.equal(await containsDeltas(pack), false)
    const objects = await fixture.objects()
    const { written, superseded } = await mergePacks(oldestFirst(database), options)
    assert.ok(written)
    for (const { path } of superseded) for (const file of [path, index(path)]) await unlink(file)
    await fixture.git('index-pack', '--strict', '--verify', written.path)
    await fixture.git('fsck', '--strict', '--full')
    assert.deepEqual(await fixture.objects(), objects)

    await fixture.git('repack', '-adfq', '--window=10')
    await place.write([prose(5000, 78)], 5)
    const withDeltas = await databaseOf(t, fixture)
    const deltas = await Promise.all(oldestFirst(withDeltas).map((pack) => containsDeltas(pack)))
    assert.deepEqual(deltas.sort(), [false, true])
    await assert.rejects(mergePacks(oldestFirst(withDeltas), options), {
      code: 'ERR_GIT_UNMERGEABLE_PACK',
      message: /is a delta/,
    })
    assert.deepEqual(readdirSync(options.tmpDir), [])
  })

  /** Ways to read an object, each begun before its pack goes and finished afterwards. */
  const readers: Record<string, (database: ObjectDatabase, oid: Oid) => Promise<() => Promise<Buffer>>> = {
    async 'a read'(database, oid) {
      const reading = database.read(oid)
      return async () => (await reading).data
    },
    async 'a stream that was only opened'(database, oid) {
      const { chunks } = await database.stream(oid)
      return () => collect(chunks)
    },
    async 'a stream of which a part was read'(database, oid) {
      const reading = (await database.stream(oid)).chunks[Symbol.asyncIterator]()
      const first = (await reading.next()).value as Buffer
      return async () => Buffer.concat([first, await collect({ [Symbol.asyncIterator]: () => reading })])
    },
  }
  for (const [name, begin] of Object.entries(readers)) {
    it(`is not noticed by ${name}`, async (t) => {
      const { place, options } = await placeFor(t)
      const content = prose(3_000_000, 9)
      const [oid] = (await place.write([content], 20)).oids
      await place.write([Buffer.from('other')], 10)
      // So little memory that the object is read in many pieces.
      const database = await databaseOf(t, place.fixture, { memoryLimit: 1000 })
      const packs = oldestFirst(database)
      const { written } = await mergePacks(packs, options)
      assert.ok(written)
      const finish = await begin(database, oid!)
      await database.addPack(written.path)
      await database.retirePacks(packs, async () => {
        for (const { path } of packs) for (const file of [path, index(path)]) await unlink(file)
      })
      const paths = database.packs().map(({ path }) => path)
      assert.deepEqual(paths, [written.path])
      assert.ok((await finish()).equals(content))
      assert.equal(await database.refresh(), false)
    })
  }
})

function index(pack: string): string {
  return pack.replace(/\.pack$/, '.idx')
}

/** A signal that is found to have fired when it is looked at for the given time. */
function abortedAfter(looks: number): AbortSignal {
  const controller = new AbortController()
  let left = looks
  return new Proxy(controller.signal, {
    get(signal, key) {
      if (key === 'aborted' && --left <= 0) controller.abort()
      return Reflect.get(signal, key, signal)
    },
  })
}
