import assert from 'node:assert/strict'
import fs from 'node:fs'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import git from 'isomorphic-git'
import type { ObjectDatabase } from '../../../src/git/object-database.ts'
import { CorruptObjectError, ObjectNotFoundError } from '../../../src/git/object-errors.ts'
import { EMPTY_BLOB, EMPTY_TREE, hashObject } from '../../../src/git/oid.ts'
import { verifyPack } from '../../../src/git/pack/verify.ts'
import { type GitFixture, history, prose } from '../../support/git-fixture.ts'
import { bytesOf, databaseOf, fixtureFor } from '../../support/object-database.ts'

/** Every object by every way of reading it, compared with what `git cat-file` says. */
async function assertEqualsGit(database: ObjectDatabase, fixture: GitFixture): Promise<number> {
  const objects = await fixture.objects()
  for (const { oid, type, data } of objects) {
    assert.ok(database.has(oid))
    const found = await database.read(oid)
    assert.equal(found.type, type)
    assert.ok(found.data.equals(data), `${type} ${oid}`)
    assert.deepEqual(await database.header(oid), { type, size: data.length })
    const stream = await database.stream(oid)
    assert.deepEqual([stream.type, stream.size], [type, data.length])
    assert.ok((await bytesOf(stream.chunks)).equals(data))
    const small = database.readSmall(oid, 1024 * 1024)
    if (small !== undefined) {
      assert.equal(small.type, type)
      assert.ok(small.data.equals(data), `${type} ${oid} at once`)
      if (data.length > 0) assert.equal(database.readSmall(oid, data.length - 1), undefined)
    }
    assert.ok([type, undefined].includes(database.wholeType(oid)))
    const deflated = database.deflated(oid)
    if (deflated !== undefined) assert.deepEqual([deflated.type, deflated.size], [type, data.length])
  }
  return objects.length
}

async function deltasIn(fixture: GitFixture): Promise<number> {
  let deltas = 0
  for (const path of await fixture.packs()) {
    const report = await verifyPack(path)
    assert.deepEqual(report.problems, [])
    deltas += report.deltas
  }
  return deltas
}

test('reads what git wrote: loose, packed, deltified by offset and by id', async (t) => {
  const fixture = await fixtureFor(t)
  await fixture.fastImport(history())
  await fixture.git('tag', '-a', 'v1', '-m', 'a tag', 'main')
  await fixture.hashObject('')
  await fixture.gitWith('', 'mktree')

  await t.test('as fast-import leaves it', async (t) => {
    assert.ok((await assertEqualsGit(await databaseOf(t, fixture), fixture)) > 300)
  })
  await t.test('after gc --aggressive, with commit-graph and bitmaps', async (t) => {
    await fixture.git('-c', 'pack.writeBitmaps=true', 'gc', '--aggressive', '--quiet', '--prune=now')
    await fixture.git('commit-graph', 'write', '--reachable')
    assert.ok((await deltasIn(fixture)) > 100)
    await assertEqualsGit(await databaseOf(t, fixture), fixture)
  })
  await t.test('every base through a file: no memory for deltas at all', async (t) => {
    const database = await databaseOf(t, fixture, {
      memoryLimit: 1000,
      deltaCacheSize: 1,
      tempDir: fixture.root,
    })
    await assertEqualsGit(database, fixture)
  })
  await t.test('with deltas by id', async (t) => {
    await fixture.git('-c', 'repack.useDeltaBaseOffset=false', 'repack', '-adfq', '--depth=40', '--window=40')
    assert.ok((await deltasIn(fixture)) > 100)
    await assertEqualsGit(await databaseOf(t, fixture), fixture)
  })
  await t.test('several packs, one kept, a multi-pack-index', async (t) => {
    const [pack = ''] = await fixture.packs()
    await writeFile(pack.replace(/pack$/, 'keep'), '')
    await fixture.fastImport([[['more.txt', prose(5000, 99)]], [['more.txt', prose(5000, 98)]]], 'more')
    await fixture.git('multi-pack-index', 'write')
    const database = await databaseOf(t, fixture, { openFiles: 1 })
    assert.ok(database.packs().length > 1)
    await assertEqualsGit(database, fixture)
  })
  await t.test('all loose', async (t) => {
    for (const path of await fixture.packs()) {
      const aside = join(fixture.root, 'aside.pack')
      await rename(path, aside)
      await rm(path.replace(/pack$/, 'idx'))
      await fixture.gitWith(await readFile(aside), 'unpack-objects', '-q')
    }
    await rm(join(fixture.packDir, 'multi-pack-index'), { force: true })
    const database = await databaseOf(t, fixture)
    assert.deepEqual(database.packs(), [])
    await assertEqualsGit(database, fixture)
    assert.deepEqual([...database.looseOids()].sort(), await fixture.oids())
  })
})

test('agrees with isomorphic-git', async (t) => {
  const fixture = await fixtureFor(t)
  await fixture.fastImport(history().slice(0, 3))
  await fixture.git('gc', '--quiet', '--prune=now')
  const database = await databaseOf(t, fixture)
  const cache = {}
  for (const oid of await fixture.oids()) {
    const theirs = await git.readObject({ fs, gitdir: fixture.gitDir, oid, format: 'content', cache })
    const ours = await database.read(oid)
    assert.equal(ours.type, theirs.type)
    assert.ok(ours.data.equals(theirs.object as Uint8Array))
  }
})

test('thousands of small objects, loose and packed at once', async (t) => {
  const fixture = await fixtureFor(t)
  const files = Array.from({ length: 4000 }, (_, i): [string, Buffer] => [
    `d${i % 37}/f${i}`,
    prose(i % 700, i),
  ])
  await fixture.fastImport([files])
  const loose = await fixture.hashObject('loose one')
  const database = await databaseOf(t, fixture)
  assert.ok((await assertEqualsGit(database, fixture)) > 3000)
  assert.equal(database.locate(loose)?.kind, 'loose')
})

test('what is not there, and the constants', async (t) => {
  const fixture = await fixtureFor(t)
  assert.equal(await fixture.hashObject(''), EMPTY_BLOB)
  assert.equal((await fixture.gitWith('', 'mktree')).toString().trim(), EMPTY_TREE)
  const database = await databaseOf(t, fixture)
  const missing = '0123456789012345678901234567890123456789'
  assert.equal(database.has(missing), false)
  assert.equal(database.has('not an id'), false)
  assert.equal(database.deflated(missing), undefined)
  await assert.rejects(database.read(missing), ObjectNotFoundError)
  await assert.rejects(database.stream(missing), ObjectNotFoundError)
  await assert.rejects(database.header('short'), ObjectNotFoundError)
  assert.deepEqual((await database.read(EMPTY_TREE)).data, Buffer.alloc(0))
})

test('alternates, also relative and in a circle', async (t) => {
  const near = await fixtureFor(t)
  const far = await fixtureFor(t)
  await far.fastImport(history().slice(0, 1))
  const loose = await far.hashObject('in the alternate')
  await writeFile(
    join(near.objectsDir, 'info', 'alternates'),
    `# comment\n${far.objectsDir}\n/nowhere/objects\n`,
  )
  const circle = relative(far.objectsDir, near.objectsDir)
  await writeFile(join(far.objectsDir, 'info', 'alternates'), `${circle}\n`)
  const database = await databaseOf(t, near)
  assert.ok(database.has(loose))
  assert.ok((await assertEqualsGit(database, far)) > 20)
})

test('takes the indexes of packs that another database has, and its own of others', async (t) => {
  const near = await fixtureFor(t)
  const far = await fixtureFor(t)
  await far.fastImport(history().slice(0, 2))
  await near.fastImport([[['own', Buffer.from('only near')]]])
  await writeFile(join(near.objectsDir, 'info', 'alternates'), `${far.objectsDir}\n`)
  const beside = await databaseOf(t, far)
  const database = await databaseOf(t, near, { beside })
  const known = new Set(beside.packs().map(({ index }) => index))
  assert.equal(known.size, 1)
  assert.deepEqual(
    database.packs().map(({ index }) => known.has(index)),
    [false, true],
  )
  // The other one does not know of these.
  await far.git('repack', '-adfq', '--depth=40', '--window=40')
  await database.refresh()
  beside.close()
  assert.deepEqual(
    database.packs().map(({ index }) => known.has(index)),
    [false, false],
  )
  await assertEqualsGit(database, far)
})

test('follows what other processes change', async (t) => {
  const fixture = await fixtureFor(t)
  await fixture.fastImport(history().slice(0, 2))
  const database = await databaseOf(t, fixture)
  assert.equal(await database.refresh(), false)

  const loose = await fixture.hashObject('something new')
  assert.equal(database.has(loose), false)
  assert.equal(await database.refresh(), true)
  assert.equal((await database.read(loose)).data.toString(), 'something new')

  const before = database.packs().map(({ id }) => id)
  const oids = await fixture.oids()
  await fixture.git('update-ref', 'refs/keep', loose)
  await fixture.git('repack', '-adfq')
  // Nothing was told to the database: the reads find out by themselves.
  for (const oid of oids) await database.verify(oid)
  assert.notDeepEqual(
    database.packs().map(({ id }) => id),
    before,
  )
})

test('a pack that is removed stays readable for who retains it', async (t) => {
  const fixture = await fixtureFor(t)
  await fixture.fastImport(history().slice(0, 2))
  const database = await databaseOf(t, fixture)
  const [pack] = database.packs()
  assert.ok(pack)
  const oid = pack.index.oidAt(0)
  const started = await database.stream(oid)
  const iterator = started.chunks[Symbol.asyncIterator]()
  const first = await iterator.next()
  pack.retain()
  assert.equal(database.removePack(pack.id), true)
  assert.equal(database.removePack(pack.id), false)
  const aside = join(fixture.root, 'aside.pack')
  await rename(pack.path, aside)
  assert.equal(first.done, false)
  assert.equal((await iterator.next()).done, true)
  const header = Buffer.alloc(4)
  assert.equal(await pack.readAt(header, 0), 4)
  assert.equal(header.toString(), 'PACK')
  pack.release()
  await assert.rejects(pack.readAt(header, 0), { code: 'ERR_GIT_PACK_GONE' })
  await assert.rejects(database.read(oid), ObjectNotFoundError)

  await rename(aside, pack.path)
  const again = await database.addPack(pack.path)
  assert.equal(await database.addPack(pack.path), again)
  assert.equal(again.id, pack.id)
  await database.verify(oid)
  await assert.rejects(database.addPack(aside), RangeError)
})

test('a damaged copy does not matter while there is a sound one', async (t) => {
  const fixture = await fixtureFor(t)
  const content = prose(50_000, 3)
  const oid = hashObject('blob', content)
  await fixture.fastImport([[['a', content]]])
  const [path = ''] = await fixture.packs()
  const index = path.replace(/pack$/, 'idx')
  const sound = await databaseOf(t, fixture)
  const { dataOffset } = sound.deflated(oid)!
  const damaged = await readFile(path)
  damaged.fill(0xff, dataOffset + 100, dataOffset + 200)
  await rm(path)
  await writeFile(path, damaged)

  const database = await databaseOf(t, fixture)
  const namesBoth = (error: unknown): boolean =>
    error instanceof CorruptObjectError && error.message.includes(oid) && error.message.includes(path)
  await assert.rejects(database.read(oid), namesBoth)
  await assert.rejects(database.verify(oid), namesBoth)
  const { problems } = await verifyPack(path)
  assert.ok(problems.some((problem) => problem.oid === oid && problem.message.includes('CRC-32')))

  await rename(index, `${index}.aside`)
  await fixture.hashObject(content)
  await rename(`${index}.aside`, index)
  await database.refresh()
  assert.equal(database.locate(oid)?.kind, 'pack')
  assert.ok((await database.read(oid)).data.equals(content))
})

test('takes a pack up that is replaced by its equal while it is opened', async (t) => {
  const fixture = await fixtureFor(t)
  await fixture.fastImport(history())
  await fixture.git('repack', '-adq')
  const [path] = (await fixture.packs()) as [string]
  const aside = join(fixture.root, 'equal')
  // Who writes the same objects in the same order makes the same pack, and puts it over the other one at any moment.
  for (let turns = 0; turns < 40; turns++) {
    const database = await databaseOf(t, fixture)
    await writeFile(aside, await readFile(path))
    await rename(aside, path)
    await writeFile(aside, await readFile(path))
    const adding = database.addPack(path)
    for (let turn = 0; turn < turns; turn++) await setImmediate()
    fs.renameSync(aside, path)
    const pack = await adding
    assert.equal(pack.path, path)
  }
})

test('loses nothing of packs that are merged while their directory is looked at', async (t) => {
  const fixture = await fixtureFor(t)
  const packDir = join(fixture.objectsDir, 'pack')
  const filesOf = (packs: readonly string[]) => packs.flatMap((path) => [path, path.replace(/pack$/, 'idx')])
  const set = async (name: string): Promise<string[]> => {
    const folder = join(fixture.root, name)
    await mkdir(folder)
    const files = filesOf(await fixture.packs())
    for (const path of files) await link(path, join(folder, basename(path)))
    return files.map((path) => join(folder, basename(path)))
  }
  await fixture.fastImport(history().slice(0, 2))
  await fixture.git('update-ref', 'refs/second', await fixture.hashObject('another one'))
  await fixture.git('repack', '-dq')
  const parts = await set('parts')
  await fixture.git('repack', '-adfq')
  const merged = await set('merged')
  const oids = await fixture.oids()
  const place = (file: string) => join(packDir, basename(file))
  const isNew = merged.filter((file) => !parts.some((part) => basename(part) === basename(file)))
  assert.ok(isNew.length === 2 && parts.length >= 2)

  for (let turns = 0; turns < 40; turns++) {
    for (const isKnown of [true, false]) {
      for (const file of isNew) await rm(place(file), { force: true })
      for (const file of parts) await link(file, place(file)).catch(() => {})
      const known = isKnown ? await databaseOf(t, fixture) : undefined
      await writeFile(join(packDir, 'changed'), '')
      const looking = known === undefined ? databaseOf(t, fixture) : known.refresh().then(() => known)
      for (let turn = 0; turn < turns; turn++) await setImmediate()
      for (const file of isNew) fs.linkSync(file, place(file))
      for (const file of parts) fs.unlinkSync(place(file))
      const database = await looking
      const lost = oids.filter((oid) => !database.has(oid))
      assert.deepEqual(lost, [], `after ${turns} turns`)
      for (const oid of oids) await database.verify(oid)
      database.close()
    }
  }
})
