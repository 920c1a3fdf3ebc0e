/** Pack indexes, as they come and with their checksum put right. */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { PackIndex } from '../../../src/git/pack/index-reader.ts'
import { encodePackIndex } from '../../../src/git/pack/index-writer.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const PACK_SIZE = 100_000

export const target: FuzzTarget = {
  name: 'pack-index',
  tokens: [Buffer.from([0xff, 0x74, 0x4f, 0x63, 0, 0, 0, 2]), Buffer.alloc(20, 0x11), Buffer.alloc(20)],

  seeds: () => [index(0, 0x7fffffff), index(1, 0x7fffffff), index(40, 0x7fffffff), index(40, 5000)],

  run(data) {
    const plain = look(data)
    const repaired = look(withChecksum(data))
    if (plain !== undefined && repaired !== undefined) throw repaired
  },
}

function index(count: number, largestSmallOffset: number): Buffer {
  const entries = Array.from({ length: count }, (_, i) => ({
    oid: hash('sha1', `object ${i}`, 'hex'),
    crc32: i,
    offset: 12 + i * 300,
  }))
  return Buffer.concat(encodePackIndex(entries, Buffer.alloc(20, 7), largestSmallOffset))
}

function withChecksum(data: Buffer): Buffer {
  if (data.length < 20) return data
  const body = data.subarray(0, -20)
  return Buffer.concat([body, hash('sha1', body, 'buffer')])
}

/** Uses everything of the index; returns why it was refused. */
function look(bytes: Buffer): GachixError | undefined {
  try {
    const packIndex = PackIndex.parse(bytes, { packSize: PACK_SIZE })
    assert.ok(packIndex.count * 28 <= bytes.length)
    for (let position = 0; position < packIndex.count; position++) {
      const oid = packIndex.oidAt(position)
      const found = packIndex.find(oid)
      assert.ok(found === -1 || packIndex.oidAt(found) === oid)
      assert.ok(packIndex.crc32At(position) >= 0)
      const offset = packIndex.offsetAt(position)
      const length = packIndex.lengthAt(position)
      assert.ok(length > 0 && offset >= 12 && offset + length <= PACK_SIZE)
    }
    assert.equal(packIndex.find('0'.repeat(39)), -1)
    const order = packIndex.packOrder()
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      [...order.keys()],
    )
    return undefined
  } catch (error) {
    if (error instanceof GachixError) return error
    throw error
  }
}
