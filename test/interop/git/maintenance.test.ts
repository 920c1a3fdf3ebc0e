/** Which packs are merged and which stay, in repositories that `git` has a hand in. */
import assert from 'node:assert/strict'
import { appendFileSync, chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ObjectDatabase } from '../../../src/git/object-database.ts'
import type { Oid } from '../../../src/git/oid.ts'
import { PackMaintenance } from '../../../src/store/maintenance.ts'
import { SpliceRecords } from '../../../src/store/splice-records.ts'
import { SpliceScanner } from '../../../src/store/splice-scanner.ts'
import { history, prose } from '../../support/git-fixture.ts'
import { MergeLog } from '../../support/merging-store.ts'
import { databaseOf } from '../../support/object-database.ts'
import { PackPlace } from '../../support/pack-place.ts'

interface Opened {
  readonly database: ObjectDatabase
  readonly records: SpliceRecords
  readonly log: MergeLog
  readonly maintenance: PackMaintenance
}

async function open(t: TestContext, place: PackPlace): Promise<Opened> {
  const database = await databaseOf(t, place.fixture)
  const records = new SpliceRecords(database, place.spliceDir)
  t.after(() => records.close())
  await new SpliceScanner(database, records).scanMissing(AbortSignal.timeout(60_000))
  const log = new MergeLog()
  const { packDir, tmpDir } = place
  const maintenance = new PackMaintenance({ database, records, packDir, tmpDir, logger: log.logger })
  return { database, records, log, maintenance }
}

async function mergeAll({ maintenance }: Opened): Promise<void> {
  maintenance.request()
  await maintenance.idle()
}

/** Writes packs of some small blobs. */
async function writeMany(place: PackPlace, count: number, seed: number): Promise<string[]> {
  const paths: string[] = []
  for (let i = 0; i < count; i++) {
    const blobs = [0, 1, 2].map((n) => prose(500 + n * 100, seed * 1000 + i * 10 + n))
    paths.push((await place.write(blobs, 1000 - i)).path)
  }
  return paths
}

test('what is kept, has deltas, is damaged or belongs to an alternate stays', async (t) => {
  const place = await PackPlace.create(t)
  const { fixture } = place
  await fixture.fastImport(history())
  await fixture.git('repack', '-adfq', '--window=10')
  const [deltas] = await fixture.packs()
  const paths = await writeMany(place, 14, 1)
  const [kept, promised, damaged] = paths as [string, string, string]
  writeFileSync(kept.replace(/pack$/, 'keep'), 'by the test\n')
  writeFileSync(promised.replace(/pack$/, 'promisor'), '')
  const alternate = await PackPlace.create(t)
  const foreign = await writeMany(alternate, 10, 2)
  appendFileSync(join(fixture.objectsDir, 'info/alternates'), `${alternate.fixture.objectsDir}\n`)

  const opened = await open(t, place)
  const sound = readFileSync(damaged)
  chmodSync(damaged, 0o600)
  writeFileSync(damaged, Buffer.from(sound.map((byte, i) => (i === 200 ? byte ^ 1 : byte))))
  await mergeAll(opened)
  assert.equal(opened.log.merges, 1)
  assert.match(
    opened.log.warnings.join('\n'),
    /^pack \S+ is not merged with others and stays as it is: .*CRC-32/,
  )
  assert.ok(opened.log.warnings[0]!.includes(damaged))
  const left = await fixture.packs()
  for (const path of [deltas!, kept, promised, damaged]) assert.ok(left.includes(path), path)
  assert.equal(left.length, 5)
  assert.deepEqual(await alternate.fixture.packs(), foreign.toSorted())

  // It is not tried again and again.
  await mergeAll(opened)
  assert.equal(opened.log.warnings.length, 1)
  writeFileSync(damaged, sound)
  await fixture.git('fsck', '--strict', '--full', '--no-dangling')
  assert.equal((await fixture.oids()).length, new Set(await fixture.oids()).size)
})

test('nothing is done for few packs, nor for packs that nobody has looked at', async (t) => {
  const place = await PackPlace.create(t)
  const few = await writeMany(place, 8, 1)
  const opened = await open(t, place)
  await mergeAll(opened)
  assert.deepEqual(await place.fixture.packs(), few.toSorted())
  for (let i = 0; i < 4; i++) {
    const oid = await place.fixture.hashObject(prose(400, 5000 + i))
    await place.fixture.gitWith(`${oid}\n`, 'pack-objects', '-q', join(place.packDir, 'pack'))
  }
  assert.equal((await place.fixture.packs()).length, 12)
  await opened.database.refresh()
  await mergeAll(opened)
  assert.equal(opened.log.merges, 0)
  await new SpliceScanner(opened.database, opened.records).scanMissing(AbortSignal.timeout(60_000))
  await mergeAll(opened)
  assert.equal((await place.fixture.packs()).length, 1)
  assert.deepEqual(opened.log.warnings, [])
})

test('the copy that is found stays the same, also when a pack that stays is older than some that are merged', async (t) => {
  const place = await PackPlace.create(t)
  const [first, second] = [prose(45_000, 1), prose(40_000, 2)]
  // Of the first blob the copy in the pack that stays is found, of the second the one in a newer pack.
  const { oids } = await place.write([first, second], 2000, 1)
  const stays = (await place.write([first, second], 1500, 9)).path
  writeFileSync(stays.replace(/pack$/, 'keep'), '')
  await writeMany(place, 8, 3)
  await place.write([second, Buffer.from('another')], 100, 4)
  const opened = await open(t, place)
  const before = oids.map((oid) => factsOf(opened, oid))
  await mergeAll(opened)
  assert.equal((await place.fixture.packs()).length, 2)
  assert.deepEqual(
    oids.map((oid) => factsOf(opened, oid)),
    before,
  )
  const again = await open(t, place)
  assert.deepEqual(
    oids.map((oid) => factsOf(again, oid)),
    before,
  )
  await place.fixture.git('fsck', '--strict', '--full', '--no-dangling')
})

function factsOf({ records }: Opened, oid: Oid): { length: number; crc32: number; kind: string } {
  const found = records.find(oid)
  assert.ok(found)
  return { length: found.deflatedLength, crc32: found.crc32, kind: found.record.kind }
}

test('a damaged copy in a pack that stays does not make a sound one go away', async (t) => {
  const place = await PackPlace.create(t)
  const content = prose(50_000, 1)
  const [oid] = (await place.write([content], 2000)).oids
  const stays = (await place.write([Buffer.from('before'), content], 1500)).path
  writeFileSync(stays.replace(/pack$/, 'keep'), '')
  await writeMany(place, 8, 3)
  const opened = await open(t, place)
  const bytes = readFileSync(stays)
  chmodSync(stays, 0o600)
  writeFileSync(stays, Buffer.from(bytes.map((byte, i) => (i === 5000 ? byte ^ 1 : byte))))
  await mergeAll(opened)
  assert.equal((await place.fixture.packs()).length, 2)
  await opened.database.verify(oid!)
})

test('a crash before the old packs were removed leaves duplicates, which the next merge takes away', async (t) => {
  const place = await PackPlace.create(t)
  const paths = await writeMany(place, 10, 4)
  const saved = paths.flatMap((path) =>
    [path, path.replace(/pack$/, 'idx')].map((file) => ({ file, bytes: readFileSync(file) })),
  )
  const opened = await open(t, place)
  await mergeAll(opened)
  const [merged] = await place.fixture.packs()
  assert.ok(merged)
  for (const { file, bytes } of saved) writeFileSync(file, bytes)
  const again = await open(t, place)
  assert.equal(again.database.packs().length, 11)
  await mergeAll(again)
  const left = await place.fixture.packs()
  assert.equal(left.length, 1)
  await place.fixture.git('fsck', '--strict', '--full', '--no-dangling')
  assert.equal((await place.fixture.oids()).length, 30)
  assert.deepEqual(again.log.warnings, [])
})

test('what git made of the packs that go, goes with them', async (t) => {
  const place = await PackPlace.create(t)
  await writeMany(place, 10, 5)
  await place.fixture.git('multi-pack-index', 'write')
  const index = join(place.packDir, 'multi-pack-index')
  assert.ok(existsSync(index))
  const opened = await open(t, place)
  await mergeAll(opened)
  assert.equal(existsSync(index), false)
  const counts = (await place.fixture.git('count-objects', '-v')).toString()
  assert.match(counts, /^in-pack: 30$/m)
  assert.match(counts, /^garbage: 0$/m)
  await place.fixture.git('fsck', '--strict', '--full', '--no-dangling')
})

test('packs that become kept while they are merged stay', async (t) => {
  const place = await PackPlace.create(t)
  const paths = await writeMany(place, 10, 6)
  const opened = await open(t, place)
  const { records } = opened
  // Records are asked for when all else is written.
  const at = records.at.bind(records)
  records.at = (pack, position) => {
    writeFileSync(paths[3]!.replace(/pack$/, 'keep'), '')
    return at(pack, position)
  }
  await mergeAll(opened)
  const left = await place.fixture.packs()
  assert.equal(left.length, 2)
  assert.ok(left.includes(paths[3]!))
  assert.equal(opened.database.packs().length, 2)
})
