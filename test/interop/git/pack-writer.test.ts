import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { DeflatePool } from '../../../src/git/deflate/pool.ts'
import { ObjectDatabase } from '../../../src/git/object-database.ts'
import { hashObject, type Oid } from '../../../src/git/oid.ts'
import { PackWriter } from '../../../src/git/pack/writer.ts'
import { Sidecar } from '../../../src/git/splice/sidecar.ts'
import { encodeTree } from '../../../src/git/tree.ts'

const MEBIBYTE = 1024 * 1024

function feed(writer: PackWriter, data: Buffer, piece: number): Oid {
  writer.blobStart(data.length)
  for (let at = 0; at < data.length; at += piece) writer.blobData(data.subarray(at, at + piece))
  return writer.blobEnd()
}

/** Contents of all shapes: empty, tiny, around the chunk border, compressible, random. */
function contents(): Buffer[] {
  const text = Buffer.from('the quick brown fox jumps over the lazy dog\n'.repeat(120_000))
  return [
    Buffer.alloc(0),
    Buffer.from('x'),
    Buffer.from('tiny file\n'),
    randomBytes(70_000),
    text.subarray(0, MEBIBYTE - 1),
    text.subarray(0, MEBIBYTE),
    text.subarray(0, MEBIBYTE + 1),
    text.subarray(5, 5 + 3 * MEBIBYTE),
    Buffer.concat([randomBytes(2 * MEBIBYTE + 17), text]),
    Buffer.alloc(4 * MEBIBYTE),
  ]
}

describe('PackWriter', () => {
  let root: string
  let pool: DeflatePool
  let count = 0

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'gachix-writer-'))
    pool = new DeflatePool({ level: 6 })
  })
  after(async () => {
    await pool.close()
    rmSync(root, { recursive: true })
  })

  function repository(): { gitDir: string; packDir: string; tmpDir: string; spliceDir: string } {
    const gitDir = join(root, `r${count++}.git`)
    execFileSync('git', ['init', '-q', '--bare', gitDir])
    const [tmpDir, spliceDir] = [join(gitDir, 'gachix/tmp'), join(gitDir, 'gachix/splice')]
    mkdirSync(tmpDir, { recursive: true })
    mkdirSync(spliceDir)
    return { gitDir, packDir: join(gitDir, 'objects/pack'), tmpDir, spliceDir }
  }

  it('writes packs that git reads, with a canonical record for every blob', async () => {
    const { gitDir, packDir, tmpDir, spliceDir } = repository()
    const writer = await PackWriter.create({ tmpDir, pool, level: 6, has: () => false })
    const all = contents()
    const oids = all.map((data, i) => feed(writer, data, [1000, 65_536, 3 * MEBIBYTE][i % 3]!))
    const tree = writer.object('tree', Buffer.alloc(0))
    await writer.ready()
    const pack = await writer.finish(packDir, spliceDir)
    assert.ok(pack)
    assert.equal(pack.objects, all.length + 1)
    execFileSync('git', ['-C', gitDir, 'index-pack', '--strict', '--verify', pack.path])
    execFileSync('git', ['-C', gitDir, 'fsck', '--strict', '--full', '--no-dangling'])
    for (const [i, data] of all.entries()) {
      assert.equal(oids[i], hashObject('blob', data))
      const shown = execFileSync('git', ['-C', gitDir, 'cat-file', 'blob', oids[i]!], { maxBuffer: 1 << 30 })
      assert.ok(shown.equals(data), `content ${i}`)
    }
    const database = await ObjectDatabase.open(join(gitDir, 'objects'))
    const sidecar = Sidecar.open(join(spliceDir, `${pack.id}.splice`), pack.id, pack.objects)
    assert.ok(sidecar)
    for (const oid of oids) {
      const place = database.deflated(oid)
      assert.ok(place)
      assert.equal(sidecar.record(place.position).kind, 'canonical')
    }
    assert.equal(sidecar.record(database.deflated(tree)!.position).kind, 'none')
    sidecar.close()
    database.close()
    assert.deepEqual(readdirSync(tmpDir), [])
  })

  it('writes trees of any size, among others, where they belong', async () => {
    const { gitDir, packDir, tmpDir, spliceDir } = repository()
    const writer = await PackWriter.create({ tmpDir, pool, level: 6, has: () => false })
    const blob = feed(writer, Buffer.from('content'), 10)
    const trees = [1, 500, 5000, 2, 100_000].map((count) => {
      const entries = Array.from({ length: count }, (_, i) => ({
        mode: '100644' as const,
        name: Buffer.from(`file-${String(i).padStart(6, '0')}`),
        oid: blob,
      }))
      const data = encodeTree(entries)
      return { oid: writer.object('tree', data), data }
    })
    await writer.ready()
    const pack = await writer.finish(packDir, spliceDir)
    assert.equal(pack?.objects, trees.length + 1)
    execFileSync('git', ['-C', gitDir, 'fsck', '--strict', '--full', '--no-dangling'])
    for (const { oid, data } of trees) {
      const shown = execFileSync('git', ['-C', gitDir, 'cat-file', 'tree', oid], { maxBuffer: 1 << 30 })
      assert.ok(shown.equals(data))
    }
  })

  it('leaves out what is known, however large, and what stands in the pack already', async () => {
    const { gitDir, packDir, tmpDir, spliceDir } = repository()
    const all = contents()
    const known = new Set(all.filter((_, i) => i % 2 === 0).map((data) => hashObject('blob', data)))
    const writer = await PackWriter.create({ tmpDir, pool, level: 1, has: (oid) => known.has(oid) })
    for (const data of [...all, ...all]) {
      feed(writer, data, 65_536)
      await writer.ready()
    }
    const pack = await writer.finish(packDir, spliceDir)
    assert.ok(pack)
    assert.equal(pack.objects, all.length - known.size)
    execFileSync('git', ['-C', gitDir, 'index-pack', '--strict', '--verify', pack.path])
  })

  it('takes back what follows a mark, in the middle of a large blob too', async () => {
    const { gitDir, packDir, tmpDir, spliceDir } = repository()
    const writer = await PackWriter.create({ tmpDir, pool, level: 6, has: () => false })
    const kept = feed(writer, Buffer.from('kept'), 4)
    const mark = await writer.mark()
    const dropped = feed(writer, Buffer.from('dropped'), 4)
    writer.blobStart(5 * MEBIBYTE)
    writer.blobData(randomBytes(2 * MEBIBYTE))
    await writer.rollback(mark)
    assert.equal(writer.has(dropped), false)
    const again = feed(writer, Buffer.from('dropped'), 3)
    assert.equal(again, dropped)
    const last = feed(writer, randomBytes(3 * MEBIBYTE), 99_999)
    const pack = await writer.finish(packDir, spliceDir)
    assert.ok(pack)
    assert.equal(pack.objects, 3)
    execFileSync('git', ['-C', gitDir, 'index-pack', '--strict', '--verify', pack.path])
    const listed = execFileSync('git', ['-C', gitDir, 'cat-file', '--batch-all-objects', '--batch-check'], {
      encoding: 'utf8',
    })
    assert.deepEqual(
      listed
        .trim()
        .split('\n')
        .map((line) => line.slice(0, 40))
        .sort(),
      [kept, dropped, last].sort(),
    )
  })

  it('writes the same bytes whatever the pieces were', async () => {
    const checksums = new Set<string>()
    const data = Buffer.concat([randomBytes(MEBIBYTE), Buffer.from('abc'.repeat(900_000))])
    for (const piece of [777, 65_536, data.length]) {
      const { packDir, tmpDir, spliceDir } = repository()
      const writer = await PackWriter.create({ tmpDir, pool, level: 6, has: () => false })
      for (let i = 0; i < 300; i++) feed(writer, Buffer.from(`file ${i}`), piece)
      feed(writer, data, piece)
      checksums.add((await writer.finish(packDir, spliceDir))!.id)
    }
    assert.equal(checksums.size, 1)
  })

  it('leaves nothing behind when given up or when nothing was written', async () => {
    const { packDir, tmpDir, spliceDir } = repository()
    const given = await PackWriter.create({ tmpDir, pool, level: 6, has: () => false })
    feed(given, randomBytes(3 * MEBIBYTE), 65_536)
    given.blobStart(100)
    await given.abort()
    const empty = await PackWriter.create({ tmpDir, pool, level: 6, has: () => false })
    assert.equal(await empty.finish(packDir, spliceDir), undefined)
    assert.deepEqual([...readdirSync(tmpDir), ...readdirSync(packDir), ...readdirSync(spliceDir)], [])
  })

  it('reports what went wrong in the pool', async () => {
    const { packDir, tmpDir, spliceDir } = repository()
    const broken = new DeflatePool({ level: 6 })
    const writer = await PackWriter.create({ tmpDir, pool: broken, level: 6, has: () => false })
    await broken.close()
    feed(writer, Buffer.from('content'), 3)
    await assert.rejects(writer.finish(packDir, spliceDir), { code: 'ERR_ABORTED' })
    await writer.abort()
    assert.deepEqual(readdirSync(tmpDir), [])
  })

  it('hashes with SHA-1 over git’s header', () => {
    assert.equal(hashObject('blob', Buffer.from('a')), createHash('sha1').update('blob 1\0a').digest('hex'))
  })
})
