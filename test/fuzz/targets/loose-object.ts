/** Loose objects: the input is the file. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { ObjectDatabase } from '../../../src/git/object-database.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const OID = `ab${'12'.repeat(19)}`
const MAX_READ = 1024 * 1024

export const target: FuzzTarget = {
  name: 'loose-object',
  tokens: [
    'blob ',
    'tree ',
    'commit ',
    '\0',
    deflateSync('blob 5\0hello'),
    deflateSync('blob 99999999999999999\0'),
  ],

  seeds: () => [
    object('blob', Buffer.from('hello\n')),
    object('blob', Buffer.alloc(300_000, 'long and dull ')),
    object('tree', Buffer.concat([Buffer.from('100644 a\0'), Buffer.alloc(20, 1)])),
    deflateSync(Buffer.from('blob 10\0too short'), { level: 0 }),
  ],

  async run(data, { directory }) {
    const objects = join(directory, 'objects')
    mkdirSync(join(objects, OID.slice(0, 2)), { recursive: true })
    writeFileSync(join(objects, OID.slice(0, 2), OID.slice(2)), data)
    // half of the inputs are what is inside of the file, as few changes to compressed bytes get through inflate
    const database = await ObjectDatabase.open(objects)
    try {
      const refused = await use(database)
      if (refused === undefined) return
      writeFileSync(join(objects, OID.slice(0, 2), OID.slice(2)), deflateSync(data, { level: 1 }))
      await use(database)
      throw refused
    } finally {
      database.close()
    }
  },
}

function object(type: string, content: Buffer): Buffer {
  return deflateSync(Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content]))
}

async function use(database: ObjectDatabase): Promise<GachixError | undefined> {
  try {
    const header = await database.header(OID)
    const { type, data } = await database.read(OID, { maxSize: MAX_READ })
    assert.equal(header.type, type)
    assert.equal(header.size, data.length)
    const { chunks } = await database.stream(OID)
    const parts: Buffer[] = []
    for await (const chunk of chunks) parts.push(chunk)
    assert.ok(Buffer.concat(parts).equals(data))
    await database.verify(OID)
    return undefined
  } catch (error) {
    if (error instanceof GachixError) return error
    throw error
  }
}
