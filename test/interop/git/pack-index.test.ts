import assert from 'node:assert/strict'
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { PackIndex } from '../../../src/git/pack/index-reader.ts'
import { encodePackIndex } from '../../../src/git/pack/index-writer.ts'
import { Pack } from '../../../src/git/pack/pack.ts'
import { GitFixture, history, noise, prose } from '../../support/git-fixture.ts'

test('index bytes equal those of git index-pack, with small and with 64-bit offsets', async (t) => {
  const fixture = await GitFixture.create()
  t.after(() => fixture.remove())
  await fixture.fastImport(history())
  await fixture.fastImport([Array.from({ length: 3000 }, (_, i) => [`f${i}`, prose(i % 300, i)])], 'many')
  const copy = join(fixture.root, 'copy.pack')
  for (const path of await fixture.packs()) {
    await copyFile(path, copy)
    for (const limit of [0x7fffffff, 5000, 0]) {
      await fixture.git('index-pack', `--index-version=2,${limit}`, copy)
      const expected = await readFile(join(fixture.root, 'copy.idx'))
      const index = PackIndex.parse(expected, { packSize: (await readFile(copy)).length })
      const rows = Array.from({ length: index.count }, (_, position) => ({
        oid: index.oidAt(position),
        crc32: index.crc32At(position),
        offset: index.offsetAt(position),
      }))
      const checksum = Buffer.from(index.packChecksum, 'hex')
      rows.sort((a, b) => a.offset - b.offset)
      assert.ok(Buffer.concat(encodePackIndex(rows, checksum, limit)).equals(expected))
      const columns = {
        count: rows.length,
        oids: Buffer.from(rows.map(({ oid }) => oid).join(''), 'hex'),
        crc32s: Uint32Array.from(rows, ({ crc32 }) => crc32),
        offsets: Float64Array.from(rows, ({ offset }) => offset),
      }
      assert.ok(Buffer.concat(encodePackIndex(columns, checksum, limit)).equals(expected))
    }
  }
})

test('positions, offsets and lengths are those that git lists', async (t) => {
  const fixture = await GitFixture.create()
  t.after(() => fixture.remove())
  await fixture.fastImport([...history(), [['noise', noise(300_000, 5)]]])
  await fixture.git('repack', '-adfq')
  const [path = ''] = await fixture.packs()
  const pack = await Pack.open(path)
  t.after(() => pack.close())
  const listing = (await fixture.git('verify-pack', '-v', path)).toString().split('\n')
  const rows = listing
    .map((line) => /^([0-9a-f]{40}) +(\w+) +(\d+) (\d+) (\d+)/.exec(line))
    .filter((row) => row !== null)
  assert.equal(rows.length, pack.index.count)
  for (const [, oid = '', , , length, offset] of rows) {
    const position = pack.index.find(oid)
    assert.equal(pack.index.oidAt(position), oid)
    assert.equal(pack.index.offsetAt(position), Number(offset))
    assert.equal(pack.index.lengthAt(position), Number(length))
  }
  const order = [...pack.index.packOrder()].map((position) => pack.index.offsetAt(position))
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  )
})
