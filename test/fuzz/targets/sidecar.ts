import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { recordFits } from '../../../src/git/splice/record.ts'
import { Sidecar } from '../../../src/git/splice/sidecar.ts'
import {
  encodeHeader,
  encodeRecord,
  encodeTrailer,
  SIDECAR_HEADER_LENGTH,
  SIDECAR_RECORD_LENGTH,
  SIDECAR_TRAILER_LENGTH,
  sidecarLength,
  sidecarOffset,
} from '../../../src/git/splice/sidecar-format.ts'
import { splicePlan } from '../../../src/git/splice/splice.ts'
import type { FuzzTarget } from '../target.ts'

const PACK = '00112233445566778899aabbccddeeff00112233'

export const target: FuzzTarget = {
  name: 'sidecar',
  tokens: ['gxsplice', 'end.', Buffer.from(PACK, 'hex')],

  seeds: () => [0, 1, 5, 200].map(sidecar),

  run(data, { directory }) {
    const path = join(directory, 'fuzz.splice')
    read(path, data)
    read(path, repaired(data))
  },
}

function sidecar(count: number): Buffer {
  const header = encodeHeader(PACK, count)
  const file = Buffer.alloc(sidecarLength(count))
  header.copy(file)
  for (let i = 0; i < count; i++) {
    const record =
      i % 3 === 0
        ? ({ kind: 'canonical', crc32: i } as const)
        : ({ kind: 'bits', crc32: i, finalBit: i * 100, endBit: i * 200 } as const)
    encodeRecord(i % 7 === 6 ? { kind: 'none' } : record, i, file, sidecarOffset(i))
  }
  encodeTrailer(header).copy(file, sidecarOffset(count))
  return file
}

/** The same records in a file whose header and trailer are right, so that they are looked at. */
function repaired(data: Buffer): Buffer {
  const count = countOf(data)
  const header = encodeHeader(PACK, count)
  const records = data.subarray(SIDECAR_HEADER_LENGTH, sidecarOffset(count))
  return Buffer.concat([header, records, encodeTrailer(header)])
}

function countOf(data: Buffer): number {
  const records = data.length - SIDECAR_HEADER_LENGTH - SIDECAR_TRAILER_LENGTH
  return Math.max(0, Math.floor(records / SIDECAR_RECORD_LENGTH))
}

function read(path: string, data: Buffer): void {
  writeFileSync(path, data)
  const count = countOf(data)
  const file = Sidecar.open(path, PACK, count)
  if (file === undefined) return
  try {
    for (let position = 0; position < count; position++) {
      const record = file.record(position)
      if (record.kind !== 'bits') continue
      const length = Math.ceil(record.endBit / 8) + 6
      assert.ok(recordFits(record, length))
      assert.ok(splicePlan(record, length).patches.every(({ at }) => at >= 0 && at < length))
    }
  } finally {
    file.close()
  }
}
