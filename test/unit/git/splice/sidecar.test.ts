import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { SpliceRecord } from '../../../../src/git/splice/record.ts'
import { Sidecar, writeSidecar } from '../../../../src/git/splice/sidecar.ts'

const PACK = '0123456789abcdef0123456789abcdef01234567'
const OTHER_PACK = '1123456789abcdef0123456789abcdef01234567'

const crcs = fc.integer({ min: 0, max: 0xffffffff })
const records: fc.Arbitrary<SpliceRecord> = fc.oneof(
  fc.constant<SpliceRecord>({ kind: 'none' }),
  crcs.map((crc32): SpliceRecord => ({ kind: 'canonical', crc32 })),
  fc
    .tuple(crcs, fc.integer({ min: 0, max: 2 ** 47 }), fc.integer({ min: 10, max: 2 ** 46 }))
    .map(
      ([crc32, finalBit, more]): SpliceRecord => ({ kind: 'bits', crc32, finalBit, endBit: finalBit + more }),
    ),
)

function numbered(count: number): SpliceRecord[] {
  return Array.from({ length: count }, (_, i) =>
    i % 3 === 0
      ? { kind: 'canonical', crc32: i }
      : { kind: 'bits', crc32: i, finalBit: i * 8, endBit: i * 9 + 100 },
  )
}

describe('splice sidecar', () => {
  let directory: string
  let path: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gachix-sidecar-'))
    path = join(directory, 'gachix/splice', `${PACK}.splice`)
  })
  after(() => rm(directory, { recursive: true }))

  function readBack(count: number, order = Array.from({ length: count }, (_, i) => i)): SpliceRecord[] {
    const sidecar = Sidecar.open(path, PACK, count)
    assert.ok(sidecar !== undefined)
    try {
      return order.map((position) => sidecar.record(position))
    } finally {
      sidecar.close()
    }
  }

  it('gives back what was written', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(records, { maxLength: 30 }), fc.boolean(), async (list, sync) => {
        await writeSidecar(path, PACK, list, { sync })
        assert.deepEqual(readBack(list.length), list)
      }),
      { numRuns: 30 },
    )
    assert.deepEqual(await readdir(join(directory, 'gachix', 'splice')), [`${PACK}.splice`])
  })

  it('gives back many, in any order', async () => {
    const list = numbered(20_000)
    await writeSidecar(path, PACK, list)
    assert.equal((await stat(path)).size, 48 + 24 * list.length + 8)
    assert.deepEqual(readBack(list.length), list)
    const order = list.map((_, i) => (i * 7919) % list.length)
    assert.deepEqual(
      readBack(list.length, order),
      order.map((i) => list[i]),
    )
  })

  it('takes positions outside the pack and those after closing as unknown', async () => {
    await writeSidecar(path, PACK, numbered(5))
    const sidecar = Sidecar.open(path, PACK, 5)
    assert.ok(sidecar !== undefined)
    for (const position of [-1, 5, Number.NaN]) assert.deepEqual(sidecar.record(position), { kind: 'none' })
    assert.equal(sidecar.record(4).kind, 'bits')
    sidecar.close()
    sidecar.close()
    assert.deepEqual(sidecar.record(4), { kind: 'none' })
  })

  it('is missing when it is of another pack or count, absent or a folder', async () => {
    await writeSidecar(path, PACK, numbered(5))
    assert.equal(Sidecar.open(path, OTHER_PACK, 5), undefined)
    assert.equal(Sidecar.open(path, PACK, 4), undefined)
    assert.equal(Sidecar.open(path, PACK, 6), undefined)
    assert.equal(Sidecar.open(join(directory, 'nothing'), PACK, 5), undefined)
    assert.equal(Sidecar.open(directory, PACK, 5), undefined)
  })

  it('never says anything wrong once damaged', async () => {
    const list = numbered(6)
    await writeSidecar(path, PACK, list)
    const whole = await readFile(path)
    for (let at = 0; at < whole.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const damaged = Buffer.from(whole)
        damaged[at]! ^= mask
        await writeFile(path, damaged)
        const sidecar = Sidecar.open(path, PACK, list.length)
        if (sidecar === undefined) continue
        const unknown = list.filter((record, i) => {
          const read = sidecar.record(i)
          if (read.kind !== 'none') assert.deepEqual(read, record)
          return read.kind === 'none'
        })
        assert.equal(unknown.length, 1)
        sidecar.close()
      }
    }
  })

  it('knows a record that was moved, and a file that was cut', async () => {
    const list = numbered(6)
    await writeSidecar(path, PACK, list)
    const whole = await readFile(path)
    const moved = Buffer.from(whole)
    whole.copy(moved, 48, 48 + 24, 48 + 48)
    await writeFile(path, moved)
    assert.deepEqual(readBack(6)[0], { kind: 'none' })
    assert.deepEqual(readBack(6)[1], list[1])
    for (const length of [0, 10, 48, whole.length - 24, whole.length - 1]) {
      await writeFile(path, whole.subarray(0, length))
      assert.equal(Sidecar.open(path, PACK, 6), undefined)
    }
    await writeFile(path, Buffer.concat([whole, Buffer.from([0])]))
    assert.equal(Sidecar.open(path, PACK, 6), undefined)
  })

  it('survives being cut while it is open', async () => {
    await writeSidecar(path, PACK, numbered(1000))
    const sidecar = Sidecar.open(path, PACK, 1000)
    assert.ok(sidecar !== undefined)
    await truncate(path, 100)
    assert.deepEqual(sidecar.record(999), { kind: 'none' })
    assert.deepEqual(sidecar.record(0), { kind: 'none' })
    sidecar.close()
  })

  it('writes positions that do not fit as unknown', async () => {
    const list: SpliceRecord[] = [
      { kind: 'bits', crc32: 1, finalBit: 0, endBit: 2 ** 48 },
      { kind: 'bits', crc32: 1, finalBit: 10, endBit: 15 },
      { kind: 'bits', crc32: 1, finalBit: 0, endBit: 2 ** 48 - 1 },
    ]
    await writeSidecar(path, PACK, list)
    assert.deepEqual(readBack(3), [{ kind: 'none' }, { kind: 'none' }, list[2]])
  })

  it('leaves nothing behind when it fails', async () => {
    const target = join(directory, 'failing', 'x.splice')
    function* failing(): Generator<SpliceRecord> {
      yield { kind: 'none' }
      throw new Error('the pack is gone')
    }
    await assert.rejects(writeSidecar(target, PACK, failing()), /the pack is gone/)
    await assert.rejects(writeSidecar(target, 'not an id', []), RangeError)
    assert.deepEqual(await readdir(join(directory, 'failing')), [])
  })
})
