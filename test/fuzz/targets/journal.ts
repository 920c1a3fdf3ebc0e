/** Journal of refs: opening it twice tells the same, also when the first opening cut off an unfinished record. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { Journal } from '../../../src/git/refs/journal.ts'
import {
  encodeBatch,
  encodeRecord,
  JOURNAL_HEADER,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
} from '../../../src/git/refs/journal-format.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const OID = '0123456789abcdef0123456789abcdef01234567'

export const target: FuzzTarget = {
  name: 'journal',
  maxLength: 4096,
  tokens: [JOURNAL_HEADER, RECORD_MAGIC, record(['refs/heads/x']), '- refs/heads/a\n', `${OID} `, '\n', ' '],

  seeds: () => [
    JOURNAL_HEADER,
    Buffer.concat([JOURNAL_HEADER, record(['refs/heads/main'])]),
    Buffer.concat([
      JOURNAL_HEADER,
      record(['refs/heads/a', 'refs/heads/b']),
      record(['refs/tags/x']),
      record(['refs/y/z']),
    ]),
    Buffer.concat([JOURNAL_HEADER, record(['refs/heads/a']), record(['refs/heads/b']).subarray(0, -3)]),
  ],

  async run(data, { directory }) {
    const path = join(directory, 'journal')
    const plain = await open(path, data)
    const repaired = await open(path, withChecksums(data))
    if (plain instanceof GachixError) throw repaired instanceof GachixError ? repaired : plain
  },
}

function record(names: readonly string[]): Buffer {
  return encodeRecord([encodeBatch({ set: names.map((name) => [name, OID]), delete: ['refs/gone/x'] })])
}

/** The same with every record's checksum put right, as far as their lengths lead. */
function withChecksums(data: Buffer): Buffer {
  const copy = Buffer.from(data)
  for (let at = JOURNAL_HEADER.length; at + RECORD_HEADER_BYTES <= copy.length; ) {
    if (!copy.subarray(at, at + 4).equals(RECORD_MAGIC)) break
    const end = at + RECORD_HEADER_BYTES + copy.readUInt32LE(at + 4)
    if (end > copy.length) break
    copy.writeUInt32LE(
      crc32(copy.subarray(at + RECORD_HEADER_BYTES, end), crc32(copy.subarray(at + 4, at + 8))),
      at + 8,
    )
    at = end
  }
  return copy
}

async function open(path: string, data: Buffer): Promise<GachixError | undefined> {
  writeFileSync(path, data)
  const first: [string, string | undefined][] = []
  try {
    const journal = await Journal.open(path, (name, oid) => first.push([name, oid]))
    await journal.append({ set: [['refs/heads/added', OID]], delete: [] })
    await journal.close()
  } catch (error) {
    if (error instanceof GachixError) return error
    throw error
  }
  const second: [string, string | undefined][] = []
  const journal = await Journal.open(path, (name, oid) => second.push([name, oid]))
  await journal.close()
  assert.deepEqual(second, [...first, ['refs/heads/added', OID]])
  return undefined
}
