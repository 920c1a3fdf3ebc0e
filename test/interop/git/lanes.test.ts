import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { DeflatePool } from '../../../src/git/deflate/pool.ts'
import { ObjectDatabase } from '../../../src/git/object-database.ts'
import { hashObject, type Oid } from '../../../src/git/oid.ts'
import { Lane } from '../../../src/store/ingest/lane.ts'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { chunksOf, directory, file, makePackage } from '../../support/packages.ts'
import { run, runLines } from '../../support/process.ts'

const KIBIBYTE = 1024

/** Lanes that write at the same time, read by git. */
describe('lanes side by side', () => {
  let root: string
  let gitDir: string
  let pool: DeflatePool
  let database: ObjectDatabase
  let lanes: Lane[]

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gachix-lanes-'))
    gitDir = join(root, 'repository')
    await (await GitPackageStore.open({ path: gitDir })).close()
    pool = new DeflatePool({ level: 5, workers: 1 })
    database = await ObjectDatabase.open(join(gitDir, 'objects'))
    lanes = [0, 1, 2].map(
      () =>
        new Lane({
          pool,
          level: 5,
          tmpDir: join(gitDir, 'gachix/tmp'),
          packDir: join(gitDir, 'objects/pack'),
          spliceDir: join(gitDir, 'gachix/splice'),
          has: (oid) => database.has(oid),
          onPack: async ({ path }) => void (await database.addPack(path)),
          siblings: () => lanes,
        }),
    )
  })
  afterEach(async () => {
    await Promise.all(lanes.map((lane) => lane.abort(new Error('the test is over'))))
    await database.close()
    await pool.close()
    await rm(root, { recursive: true, force: true })
  })

  /** Every object of every pack, so one that was written twice is there twice. */
  async function packedObjects(): Promise<Oid[]> {
    const folder = join(gitDir, 'objects/pack')
    const objects: Oid[] = []
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.idx')) continue
      const lines = await runLines('git', ['--git-dir', gitDir, 'verify-pack', '-v', join(folder, name)])
      for (const line of lines) {
        const [oid] = /^[0-9a-f]{40}(?= (blob|tree) )/.exec(line) ?? []
        if (oid !== undefined) objects.push(oid)
      }
    }
    return objects
  }

  const completeAll = () => Promise.all(lanes.map((lane) => lane.complete()))
  const reachable = (tree: Oid) => runLines('git', ['--git-dir', gitDir, 'rev-list', '--objects', tree])

  /** A NAR of which all but the end has come, and that then ends as `last` does. */
  async function* stalled(nar: Buffer, last: () => Promise<unknown>): AsyncGenerator<Uint8Array> {
    yield* chunksOf(nar.subarray(0, -64))
    await last()
    yield nar.subarray(-64)
  }

  for (const [size, kind] of [
    [9, 'tiny'],
    [700 * KIBIBYTE, 'held'],
    [5 * KIBIBYTE * KIBIBYTE, 'streamed'],
  ] as const) {
    it(`writes a ${kind} file that two packages share once, and keeps it when the first fails`, async () => {
      const shared = randomBytes(size)
      const own = randomBytes(300 * KIBIBYTE)
      const first = makePackage('first', directory({ a: file(own), b: file(shared), c: file('first') }))
      const second = makePackage('second', directory({ b: file(shared), d: file('second') }))
      const end = Promise.withResolvers<void>()
      const failed = assert.rejects(
        lanes[0]!.store(
          first.info,
          stalled(first.nar, () => end.promise),
        ),
        /cut off/,
      )
      const oid = hashObject('blob', shared)
      while (lanes[0]!.lend(oid) === undefined) await setImmediate()

      const stored = await lanes[1]!.store(second.info, chunksOf(second.nar))
      await lanes[1]!.complete()
      assert.equal(await Promise.race([stored.durable, setImmediate('pending')]), 'pending')
      end.reject(new Error('cut off'))
      await failed
      await lanes[0]!.complete()
      await stored.durable

      const objects = await packedObjects()
      assert.deepEqual(objects.toSorted(), [...new Set(objects)].toSorted())
      assert.equal((await reachable(stored.tree)).length, 3)
      assert.ok(objects.includes(oid))
      assert.ok(!objects.includes(hashObject('blob', own)))
      await run('git', ['--git-dir', gitDir, 'fsck', '--strict', '--full'])
    })
  }

  it('holds a package back whose file was in a pack that is lost', async () => {
    const shared = randomBytes(1000)
    const first = makePackage('first', directory({ b: file(shared), c: file('first') }))
    const second = makePackage('second', directory({ b: file(shared), d: file('second') }))
    await lanes[0]!.store(first.info, chunksOf(first.nar))
    const { durable } = await lanes[1]!.store(second.info, chunksOf(second.nar))
    const outcome = assert.rejects(durable, /disk/)
    await lanes[0]!.abort(new Error('the disk is gone'))
    await lanes[1]!.complete()
    await outcome
  })

  it('loses and repeats nothing, whichever packages fail and whenever packs are completed', async () => {
    const files = Array.from({ length: 8 }, (_, i) => file(randomBytes(i < 6 ? 40_000 << (i % 3) : 600_000)))
    const pick = (i: number) =>
      directory(
        Object.fromEntries(files.flatMap((one, n) => ((i * 37 + n * n) % 3 === 0 ? [[`f${n}`, one]] : []))),
      )
    const trees: Oid[] = []
    await Promise.all(
      lanes.map(async (lane, l) => {
        for (let i = 0; i < 12; i++) {
          const { info, nar } = makePackage(
            `p-${l}-${i}`,
            directory({ a: pick(i * 3 + l), z: file(`${l} ${i}`) }),
          )
          const fails = (i + l) % 3 === 0
          const source = stalled(nar, async () => {
            await setImmediate()
            if (fails) throw new Error('cut off')
          })
          const stored = await lane.store(info, source).catch(() => undefined)
          assert.equal(stored === undefined, fails)
          if (stored !== undefined) trees.push(stored.tree)
          if ((i * 5 + l) % 7 === 0) await lane.complete()
        }
      }),
    )
    await completeAll()
    const objects = await packedObjects()
    assert.deepEqual(objects.toSorted(), [...new Set(objects)].toSorted())
    for (const tree of trees) assert.ok((await reachable(tree)).length >= 3)
    await run('git', ['--git-dir', gitDir, 'fsck', '--strict', '--full'])
  })
})
