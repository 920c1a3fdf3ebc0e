/** Packs that are sent, taken in by the real `git index-pack`. */
import assert from 'node:assert/strict'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ObjectDatabase } from '../../../src/git/object-database.ts'
import { ObjectNotFoundError } from '../../../src/git/object-errors.ts'
import { oidToBytes } from '../../../src/git/oid.ts'
import { sendPack } from '../../../src/git/pack/send.ts'
import type { ObjectSelection } from '../../../src/git/walk/select.ts'
import { AbortedError } from '../../../src/util/errors.ts'
import { collect } from '../../support/collect.ts'
import { GitFixture, history, noise, prose } from '../../support/git-fixture.ts'
import { databaseOf, fixtureFor } from '../../support/object-database.ts'
import { openFilesIn } from '../../support/open-files.ts'
import { PackPlace } from '../../support/pack-place.ts'

function selection(oids: readonly string[]): ObjectSelection {
  const ids = oids.map(oidToBytes)
  return { count: ids.length, at: (number) => ids[number]! }
}

/** The objects of a pack, as `git` finds them in an empty repository. */
async function receive(t: TestContext, pack: Uint8Array): Promise<string[]> {
  const receiver = await fixtureFor(t)
  await mkdir(receiver.packDir, { recursive: true })
  await receiver.gitWith(pack, 'index-pack', '--stdin', '--strict', join(receiver.packDir, 'pack-x.pack'))
  return receiver.oids()
}

async function checkSent(t: TestContext, database: ObjectDatabase, oids: readonly string[]): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of sendPack(database, selection(oids))) {
    assert.ok(chunk.length > 0 && chunk.length <= 256 * 1024)
    chunks.push(chunk)
  }
  const pack = Buffer.concat(chunks)
  assert.deepEqual(await receive(t, pack), oids.toSorted())
  return pack
}

test('objects of every kind arrive: packed, loose, deltas, in any order', async (t) => {
  const fixture = await fixtureFor(t)
  await fixture.fastImport(history())
  await fixture.git('tag', '-a', 'v1', '-m', 'a tag', 'main')
  await fixture.git('gc', '--aggressive', '--quiet', '--prune=now')
  for (const size of [0, 1, 65_536, 70_000, 600_000]) await fixture.hashObject(prose(size, size))
  // Two versions of a large file, so that one becomes a delta that is streamed.
  const large = noise(900_000, 5)
  await fixture.fastImport(
    [[['large', large]], [['large', Buffer.concat([large, Buffer.from('end')])]]],
    'large',
  )
  await fixture.git('repack', '-a', '-d', '-f', '--depth=50', '--window=20', '--quiet')
  await fixture.hashObject(noise(400_000, 6))
  const oids = await fixture.oids()
  const database = await databaseOf(t, fixture)
  await checkSent(t, database, oids)
  await checkSent(t, database, oids.toReversed())
  await checkSent(t, database, oids.slice(0, 1))
  assert.equal((await collect(sendPack(database, selection([])))).length, 32)
})

test('what lies in packs of our own goes out byte for byte', async (t) => {
  const place = await PackPlace.create(t)
  const { path, oids } = await place.write([noise(300_000, 1), prose(100_000, 2), Buffer.from('x')], 10)
  const database = await databaseOf(t, place.fixture)
  const pack = await checkSent(t, database, oids)
  assert.ok(pack.equals(await readFile(path)))
})

test('chunks whose memory is used again say the same', async (t) => {
  const place = await PackPlace.create(t)
  const { oids } = await place.write([noise(700_000, 1), prose(100_000, 2), Buffer.from('x')], 10)
  await place.fixture.hashObject(noise(900_000, 3))
  const database = await databaseOf(t, place.fixture)
  const all = selection([...oids, ...(await place.fixture.oids()).filter((oid) => !oids.includes(oid))])
  const own = await collect(sendPack(database, all))
  const parts: Buffer[] = []
  const memory = new Set<ArrayBufferLike>()
  for await (const chunk of sendPack(database, all, { reuse: true })) {
    parts.push(Buffer.from(chunk))
    memory.add(chunk.buffer)
  }
  assert.ok(Buffer.concat(parts).equals(own))
  assert.ok(
    parts.length >= 6 && memory.size < parts.length,
    `${parts.length} chunks in ${memory.size} places`,
  )
})

test('a pack that is removed meanwhile is read to its end', async (t) => {
  const place = await PackPlace.create(t)
  const { oids, path } = await place.write([noise(3_000_000, 1), noise(2_000_000, 2)], 10)
  const database = await databaseOf(t, place.fixture)
  const chunks = sendPack(database, selection(oids))
  const parts = [(await chunks.next()).value as Buffer]
  const [pack] = database.packs()
  await database.retirePacks([pack!], () => rm(path))
  for await (const chunk of chunks) parts.push(chunk)
  assert.deepEqual(await receive(t, Buffer.concat(parts)), oids.toSorted())
})

test('who leaves, or is stopped, leaves no file open', async (t) => {
  const place = await PackPlace.create(t)
  const { oids } = await place.write([noise(3_000_000, 1)], 10)
  const database = await databaseOf(t, place.fixture, { openFiles: 0 })
  const open = (): number => openFilesIn(place.packDir).length
  for await (const _ of sendPack(database, selection(oids))) {
    assert.equal(open(), 1)
    break
  }
  assert.equal(open(), 0)
  const controller = new AbortController()
  const chunks = sendPack(database, selection(oids), { signal: controller.signal })
  await chunks.next()
  controller.abort()
  await assert.rejects(collect(chunks), AbortedError)
  assert.equal(open(), 0)
})

test('a missing object is told of before the first byte', async (t) => {
  const fixture = await GitFixture.create()
  t.after(() => fixture.remove())
  const present = await fixture.hashObject('here')
  const database = await databaseOf(t, fixture)
  const chunks = sendPack(database, selection([present, '1234567890123456789012345678901234567890']))
  await assert.rejects(chunks.next(), ObjectNotFoundError)
})
