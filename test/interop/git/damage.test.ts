import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { ObjectDatabase } from '../../../src/git/object-database.ts'
import { verifyPack } from '../../../src/git/pack/verify.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { GitFixture, type GitObject, history, prose } from '../../support/git-fixture.ts'

let fixture: GitFixture
let objects: GitObject[]
let pack: Buffer
let index: Buffer

before(async () => {
  fixture = await GitFixture.create()
  await fixture.fastImport([...history().slice(0, 4), [['large', prose(200_000, 1)]]])
  await fixture.git('-c', 'repack.useDeltaBaseOffset=false', 'repack', '-adfq', '--depth=20')
  objects = await fixture.objects()
  const [path = ''] = await fixture.packs()
  pack = await readFile(path)
  index = await readFile(path.replace(/pack$/, 'idx'))
})

after(() => fixture.remove())

/** Gives trailer and index of a changed pack its right checksum again, so that the damage is not found by that alone. */
function sealed(changedPack: Buffer, changedIndex: Buffer): [Buffer, Buffer] {
  const sum = createHash('sha1').update(changedPack.subarray(0, -20)).digest()
  const newPack = Buffer.concat([changedPack.subarray(0, -20), sum])
  const body = Buffer.concat([changedIndex.subarray(0, -40), sum])
  return [newPack, Buffer.concat([body, createHash('sha1').update(body).digest()])]
}

/** Whatever the files hold: every object is right, wrong in content only, or refused by one of our errors. */
async function assertContained(packBytes: Buffer, indexBytes: Buffer): Promise<void> {
  const directory = join(fixture.root, 'damaged')
  await mkdir(join(directory, 'pack'), { recursive: true })
  const path = join(directory, 'pack', 'pack-0000000000000000000000000000000000000000.pack')
  await writeFile(path, packBytes)
  await writeFile(path.replace(/pack$/, 'idx'), indexBytes)
  try {
    const problems: unknown[] = []
    const database = await ObjectDatabase.open(directory, {
      memoryLimit: 1_000_000,
      onProblem: (p) => problems.push(p),
    })
    try {
      if (problems.length > 0) {
        await assert.rejects(verifyPack(path), GachixError)
        return
      }
      for (const { oid, data } of objects) {
        try {
          const found = await database.read(oid, { maxSize: 300_000 })
          assert.ok(found.data.length <= 300_000)
          database.deflated(oid)
          await database.verify(oid)
          assert.ok(found.data.equals(data))
        } catch (error) {
          if (!(error instanceof GachixError)) throw error
        }
      }
      const report = await verifyPack(path)
      assert.ok(report.problems.length > 0 || packBytes.equals(pack))
    } finally {
      database.close()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

test('flipped bytes in a pack', async () => {
  const flip = fc.tuple(fc.nat(pack.length - 1), fc.integer({ min: 1, max: 255 }))
  await fc.assert(
    fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 6 }), fc.boolean(), async (flips, seal) => {
      const changed = Buffer.from(pack)
      for (const [at, mask] of flips) changed[at]! ^= mask
      if (changed.equals(pack)) return
      const [packBytes, indexBytes] = seal ? sealed(changed, index) : [changed, index]
      await assertContained(packBytes, indexBytes)
    }),
    { numRuns: 40 },
  )
})

test('every byte of an entry header, one by one', async () => {
  const database = await ObjectDatabase.open(fixture.objectsDir)
  const [first] = database.packs()
  const offsets = objects.slice(0, 6).map(({ oid }) => first!.index.offsetAt(first!.index.find(oid)))
  database.close()
  for (const offset of offsets) {
    for (const value of [0x00, 0x0f, 0x55, 0x60, 0x7f, 0x80, 0xb0, 0xe1, 0xf0, 0xff]) {
      const changed = Buffer.from(pack)
      changed[offset] = value
      if (!changed.equals(pack)) await assertContained(...sealed(changed, index))
    }
  }
})

test('truncated packs', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(pack.length - 1), fc.boolean(), async (length, seal) => {
      const cut = pack.subarray(0, length)
      if (seal && length > 60) await assertContained(...sealed(cut, index))
      else await assertContained(cut, index)
    }),
    { numRuns: 30 },
  )
})

test('flipped, truncated and grown indexes, also with a right checksum', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(index.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.constantFrom('flip', 'cut', 'grow'),
      fc.boolean(),
      async (at, mask, how, seal) => {
        let changed: Buffer = Buffer.from(index)
        if (how === 'flip') changed[at]! ^= mask
        if (how === 'cut') changed = changed.subarray(0, at)
        if (how === 'grow')
          changed = Buffer.concat([changed.subarray(0, -40), Buffer.alloc(mask), changed.subarray(-40)])
        if (seal && changed.length > 40) [, changed] = sealed(pack, changed)
        if (changed.equals(index)) return
        await assertContained(Buffer.from(pack), changed)
      },
    ),
    { numRuns: 60 },
  )
})

test('deltas by id that go in a circle', async () => {
  const database = await ObjectDatabase.open(fixture.objectsDir)
  const [first] = database.packs()
  assert.ok(first)
  const deltas = objects
    .map(({ oid }) => ({ oid, entry: first.entryHeader(first.index.offsetAt(first.index.find(oid))) }))
    .filter(({ entry }) => entry.type === 'ref-delta')
  database.close()
  const changed = Buffer.from(pack)
  for (const [i, { entry }] of deltas.entries()) {
    changed.write(deltas[(i + 1) % deltas.length]!.oid, entry.dataOffset - 20, 'hex')
  }
  const [packBytes, indexBytes] = sealed(changed, index)
  const directory = join(fixture.root, 'circle')
  await mkdir(join(directory, 'pack'), { recursive: true })
  await writeFile(join(directory, 'pack', 'pack-1.pack'), packBytes)
  await writeFile(join(directory, 'pack', 'pack-1.idx'), indexBytes)
  const circle = await ObjectDatabase.open(directory)
  await assert.rejects(circle.read(deltas[0]!.oid), /comes back/)
  await assert.rejects(circle.header(deltas[0]!.oid), /comes back/)
  circle.close()
})

test('damaged loose objects', async () => {
  const oid = await fixture.hashObject(prose(5000, 77))
  const path = join(fixture.objectsDir, oid.slice(0, 2), oid.slice(2))
  const original = await readFile(path)
  await fc.assert(
    fc.asyncProperty(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 }), async (at, mask) => {
      const changed = mask === 0 ? original.subarray(0, at) : Buffer.from(original)
      if (mask !== 0) changed[at]! ^= mask
      await rm(path, { force: true })
      await writeFile(path, changed)
      const database = await ObjectDatabase.open(fixture.objectsDir)
      try {
        // Damage in bits that say nothing (padding) is none: the content then still has its id.
        await database.verify(oid).catch((error) => assert.equal(error.code, 'ERR_GIT_CORRUPT_OBJECT'))
        if (mask === 0) await assert.rejects(database.read(oid), { code: 'ERR_GIT_CORRUPT_OBJECT' })
      } finally {
        database.close()
      }
    }),
    { numRuns: 60 },
  )
})
