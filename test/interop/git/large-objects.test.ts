import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { ObjectTooLargeError } from '../../../src/git/object-errors.ts'
import { hashObject } from '../../../src/git/oid.ts'
import { noise, prose } from '../../support/git-fixture.ts'
import { bytesOf, databaseOf, fixtureFor } from '../../support/object-database.ts'
import { run } from '../../support/process.ts'

test('large blobs come in pieces, whole or as deltas', async (t) => {
  const fixture = await fixtureFor(t)
  const first = Buffer.concat([noise(8_000_000, 7), prose(34_000_000, 1)])
  const second = Buffer.from(first)
  second.write('something else', 20_000_000)
  const third = Buffer.concat([
    second.subarray(0, 30_000_000),
    Buffer.from('cut'),
    second.subarray(31_000_000),
  ])
  await fixture.fastImport([[['big', first]], [['big', second]], [['big', third]]])
  const blobs = [first, second, third].map((data) => ({ data, oid: hashObject('blob', data) }))
  const check = async (t: TestContext): Promise<number> => {
    const database = await databaseOf(t, fixture, { tempDir: fixture.root })
    for (const { oid, data } of blobs) {
      const stream = await database.stream(oid)
      assert.deepEqual([stream.type, stream.size], ['blob', data.length])
      assert.ok((await bytesOf(stream.chunks)).equals(data))
      await assert.rejects(database.read(oid, { maxSize: 20_000_000 }), ObjectTooLargeError)
    }
    const { oid, data } = blobs[0]!
    assert.ok((await database.read(oid)).data.equals(data))
    const left = await database.stream(oid)
    for await (const _ of left.chunks) break
    const controller = new AbortController()
    const aborted = await database.stream(oid, { signal: controller.signal })
    await assert.rejects(
      async () => {
        for await (const _ of aborted.chunks) controller.abort()
      },
      { code: 'ERR_ABORTED' },
    )
    return blobs.filter(({ oid }) => database.deflated(oid) === undefined).length
  }
  await t.test('as fast-import leaves them', async (t) => {
    await check(t)
  })
  await t.test('deltas of one another', async (t) => {
    await fixture.git('repack', '-adfq', '--window=5')
    assert.equal(await check(t), 2)
  })
  await t.test('loose', async (t) => {
    const [path = ''] = await fixture.packs()
    const pack = await readFile(path)
    await rm(path)
    await rm(path.replace(/pack$/, 'idx'))
    await fixture.gitWith(pack, 'unpack-objects', '-q')
    assert.equal(await check(t), 3)
  })
})

test('a large deltified blob passes through in bounded memory', async (t) => {
  const fixture = await fixtureFor(t)
  const size = 128 * 1024 * 1024
  const first = Buffer.alloc(size, prose(1_000_000, 5))
  const second = Buffer.from(first)
  second.write('something else', size / 2)
  await fixture.fastImport([[['big', first]], [['big', second]]])
  const oid = hashObject('blob', second)
  assert.equal((await databaseOf(t, fixture)).deflated(oid), undefined)
  const script = `
    import { ObjectDatabase } from ${JSON.stringify(import.meta.resolve('../../../src/git/object-database.ts'))}
    const [objects, oid, tempDir] = process.argv.slice(1)
    const database = await ObjectDatabase.open(objects, { tempDir })
    const before = process.memoryUsage.rss()
    let peak = 0
    for await (const _ of (await database.stream(oid)).chunks) peak = Math.max(peak, process.memoryUsage.rss())
    console.log(peak - before)`
  const args = ['--input-type=module', '-e', script, fixture.objectsDir, oid, fixture.root]
  const grown = Number(await run(process.execPath, args))
  // Base and result together are twice the size; what is allowed here is what waits for the garbage collector.
  assert.ok(grown < size, `peak memory grew by ${grown} bytes`)
})
