/** Kept plans: whatever is in the file, it is a plan of its own length or none. */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { NarPlan } from '../../../src/store/plan.ts'
import { decodePlan, encodePlan, type KeptPlan, PACKS_DIGEST_BYTES } from '../../../src/store/plan-format.ts'
import type { FuzzTarget } from '../target.ts'

const TREE = '00112233445566778899aabbccddeeff00112233'
const CRC_BYTES = 4

export const target: FuzzTarget = {
  name: 'plan',
  tokens: ['gachixpl', Buffer.from(TREE, 'hex')],

  seeds: () => [0, 1, 3].flatMap((count) => [plan(count, false), plan(count, true)]),

  run(data) {
    read(data)
    if (data.length < CRC_BYTES) return
    const repaired = Buffer.from(data)
    repaired.writeUInt32BE(crc32(data.subarray(0, -CRC_BYTES)), data.length - CRC_BYTES)
    read(repaired)
  },
}

function plan(count: number, hasBits: boolean): Buffer {
  const made = new NarPlan({
    tree: TREE,
    framing: {
      bytes: Buffer.alloc(7 * (count + 1), 1),
      ends: Uint32Array.from({ length: count + 1 }, (_, i) => 7 * (i + 1)),
    },
    starts: Uint32Array.of(0),
    startOffsets: Float64Array.of(0),
    oids: Buffer.alloc(20 * count, 2),
    sizes: new Float64Array(count).fill(3),
    kinds: new Uint8Array(count).fill(hasBits ? 2 : 1),
    deflatedLengths: new Float64Array(count).fill(11),
    entryCrcs: new Uint32Array(count).fill(5),
    bits: hasBits ? new Float64Array(2 * count).fill(9) : undefined,
    narSize: 100,
    gzipSize: 90,
    gzipId: '0'.repeat(32),
    crc32: 7,
  })
  return Buffer.concat(encodePlan(made, Buffer.alloc(PACKS_DIGEST_BYTES)))
}

function read(data: Buffer): void {
  const kept = decode(data)
  if (kept === undefined) return
  assert.equal(kept.plan.parts.framing.ends.length, kept.plan.count + 1)
  assert.equal(kept.plan.parts.oids.length, 20 * kept.plan.count)
  const again = Buffer.concat(encodePlan(kept.plan, kept.packs))
  assert.equal(again.length, data.length)
  assert.deepEqual(decode(again)?.plan.parts, kept.plan.parts)
}

function decode(data: Buffer): KeptPlan | undefined {
  const bytes = Buffer.allocUnsafeSlow(data.length)
  data.copy(bytes)
  return decodePlan(bytes, TREE)
}
