/**
 * Object database over a damaged pack: reading, streaming, verifying. The index is made to fit whatever the input is, so
 * that entries are reached: each object is known under an id made of its number, which `ref-delta` entries of the seeds
 * use.
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import { ObjectDatabase } from '../../../src/git/object-database.ts'
import {
  decodeEntryHeader,
  encodeEntryHeader,
  encodeOfsDistance,
  encodePackHeader,
} from '../../../src/git/pack/format.ts'
import { encodePackIndex, type PackIndexEntry } from '../../../src/git/pack/index-writer.ts'
import { verifyPack } from '../../../src/git/pack/verify.ts'
import { DeflateScanner } from '../../../src/git/splice/deflate-scanner.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { copyDelta, ofsDelta, packOf, refDelta, whole } from '../../support/pack-maker.ts'
import type { FuzzTarget } from '../target.ts'

const MAX_OBJECTS = 40
const MAX_READ = 1024 * 1024
/** Streams that go on for longer are left, as a reader with a budget does. */
const MAX_STREAM = 8 * 1024 * 1024

export const target: FuzzTarget = {
  name: 'pack',
  maxLength: 8192,
  tokens: [
    encodeEntryHeader('blob', 0),
    encodeEntryHeader('ofs-delta', 8),
    encodeEntryHeader('ref-delta', 8),
    encodeEntryHeader('blob', 2 ** 40),
    encodeOfsDistance(1),
    encodeOfsDistance(2 ** 40),
    deflateSync(Buffer.alloc(0)),
    deflateSync(copyDelta(1000, 2000)),
    Buffer.from(oidOf(0), 'hex'),
    Buffer.from(oidOf(1), 'hex'),
  ],

  seeds: () => [
    packOf([whole('blob', Buffer.from('hello\n'))]),
    packOf([
      whole('blob', Buffer.alloc(1000, 'base of deltas ')),
      refDelta(oidOf(0), copyDelta(1000, 900)),
      ofsDelta(0, copyDelta(1000, 2000)),
      ofsDelta(2, copyDelta(2000, 500)),
      whole('tree', Buffer.concat([Buffer.from('100644 a\0'), Buffer.alloc(20, 1)])),
      whole(
        'commit',
        Buffer.from(`tree ${'1'.repeat(40)}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nmessage`),
      ),
    ]),
    // large enough for the streaming ways
    packOf([
      whole('blob', Buffer.alloc(400_000, 'long and dull ')),
      ofsDelta(0, copyDelta(400_000, 300_000)),
      ofsDelta(1, copyDelta(300_000, 600_000)),
    ]),
  ],

  async run(data, { directory }) {
    const objects = join(directory, 'objects')
    rmSync(objects, { recursive: true, force: true })
    mkdirSync(join(objects, 'pack'), { recursive: true })
    const { bytes, offsets } = repaired(data)
    const path = join(objects, 'pack', `pack-${'5'.repeat(40)}.pack`)
    writeFileSync(path, bytes)
    writeFileSync(path.replace(/pack$/, 'idx'), Buffer.concat(indexFor(bytes, offsets)))

    const database = await ObjectDatabase.open(objects, {
      memoryLimit: 65_536,
      spoolLimit: MAX_STREAM,
      deltaCacheSize: 1 << 20,
    })
    try {
      let refused: GachixError | undefined
      for (let i = 0; i < offsets.length; i++) refused = (await useObject(database, oidOf(i))) ?? refused
      const report = await verifyPack(path)
      assert.ok(offsets.length === 0 || report.problems.length > 0, 'no content has the id that it was given')
      if (refused !== undefined) throw refused
    } finally {
      database.close()
    }
  },
}

function oidOf(position: number): string {
  return position.toString(16).padStart(2, '0').repeat(20)
}

/** The input with the header and the checksum that its entries need, and where these begin, as far as that can be told. */
function repaired(data: Buffer): { bytes: Buffer; offsets: number[] } {
  const entries = data.subarray(12, Math.max(12, data.length - 20))
  const offsets: number[] = []
  for (let at = 0; at < entries.length && offsets.length < MAX_OBJECTS; ) {
    offsets.push(12 + at)
    const next = endOfEntry(entries, at)
    if (next === undefined) break
    at = next
  }
  const body = Buffer.concat([encodePackHeader(offsets.length), entries])
  return { bytes: Buffer.concat([body, hash('sha1', body, 'buffer')]), offsets }
}

function endOfEntry(entries: Buffer, at: number): number | undefined {
  try {
    const { headerLength } = decodeEntryHeader(entries, at, 12 + at)
    const scanner = new DeflateScanner()
    scanner.push(entries.subarray(at + headerLength))
    scanner.finish()
    return at + headerLength + scanner.consumed
  } catch (error) {
    if (error instanceof GachixError) return undefined
    throw error
  }
}

function indexFor(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const entries = offsets.map((offset, i): PackIndexEntry => {
    const end = offsets[i + 1] ?? bytes.length - 20
    return { oid: oidOf(i), offset, crc32: crc32(bytes.subarray(offset, end)) }
  })
  return encodePackIndex(entries, bytes.subarray(-20))
}

/** Reads one object in every way there is; what one way gives, the others must give. */
async function useObject(database: ObjectDatabase, oid: string): Promise<GachixError | undefined> {
  assert.ok(database.has(oid))
  const deflated = await attempt(() => database.deflated(oid))
  const header = await attempt(() => database.header(oid))
  const read = await attempt(() => database.read(oid, { maxSize: MAX_READ }))
  const streamed = await attempt(() => readStream(database, oid))
  await attempt(() => database.verify(oid))
  for (const result of [deflated, header, read, streamed]) if (result instanceof GachixError) return result
  if (read instanceof GachixError || streamed instanceof GachixError || header instanceof GachixError)
    return undefined
  assert.ok(streamed.equals(read.data))
  assert.equal(header.size, read.data.length)
  assert.equal(header.type, read.type)
  return undefined
}

async function readStream(database: ObjectDatabase, oid: string): Promise<Buffer> {
  const { chunks } = await database.stream(oid)
  const parts: Buffer[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    parts.push(chunk)
    if (length > MAX_STREAM)
      throw new GachixError('ERR_FUZZ_TOO_LARGE', 'the object is too large for this test')
  }
  return Buffer.concat(parts)
}

async function attempt<T>(action: () => T | Promise<T>): Promise<T | GachixError> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof GachixError) return error
    throw error
  }
}
