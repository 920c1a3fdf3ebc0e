/** The file of the inventory log: what is read is what was written, up to the first damage, and can be gone on with. */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { encodeChange, InventoryLog } from '../../../src/peers/inventory/inventory-log.ts'
import { decodeLog, encodeBatch, encodeLog } from '../../../src/peers/inventory/log-format.ts'
import { hashesOf, hashOf } from '../../support/hashes.ts'
import type { FuzzTarget } from '../target.ts'

const begun = Buffer.concat(
  encodeLog({
    policy: 'ab'.repeat(32),
    epoch: 5,
    baseSeq: 0,
    base: Buffer.alloc(0),
    changes: Buffer.alloc(0),
  }),
)
const batch = encodeBatch(Buffer.concat([encodeChange(true, hashOf(1)), encodeChange(true, hashOf(2))]))
const small = encodeBatch(encodeChange(false, hashOf(1)))

export const target: FuzzTarget = {
  name: 'inventory-log',
  maxLength: 4096,
  tokens: ['gachix-inventory 1\n', batch, small, Buffer.alloc(4)],
  seeds: () => [
    begun,
    Buffer.concat([begun, batch, small]),
    Buffer.concat([begun, batch, small.subarray(0, 20)]),
    Buffer.concat(
      encodeLog({
        policy: '00'.repeat(32),
        epoch: 1,
        baseSeq: 3,
        base: hashesOf(0, 3),
        changes: Buffer.alloc(0),
      }),
    ),
  ],

  run(data) {
    for (const bytes of [data, withChecksum(data)]) check(bytes)
  },
}

function check(bytes: Buffer): void {
  const found = decodeLog(bytes)
  if (found === undefined) return
  assert.ok(found.length <= bytes.length)
  const again = decodeLog(Buffer.concat([bytes.subarray(0, found.length), batch]))
  assert.ok(again !== undefined)
  const { changes } = found.log
  assert.deepEqual(again.log.changes.subarray(0, changes.length), changes)
  assert.equal(again.length, found.length + batch.length)
  assert.deepEqual(decodeLog(Buffer.concat(encodeLog(found.log)))?.log, found.log)
  try {
    assert.deepEqual(new InventoryLog(found.log).state().changes, changes)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
}

/** The same with the checksum of the head put right. */
function withChecksum(data: Buffer): Buffer {
  const copy = Buffer.from(data)
  if (copy.length < 75) return copy
  const end = 71 + copy.readUInt32BE(67) * 20
  if (end + 4 <= copy.length) copy.writeUInt32BE(crc32(copy.subarray(0, end)), end)
  return copy
}
