/** A place to receive packs in without a store, and what must be true of what lies there afterwards. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DeflatePool } from '../../src/git/deflate/pool.ts'
import { ObjectDatabase } from '../../src/git/object-database.ts'
import { Pack } from '../../src/git/pack/pack.ts'
import { type PackLimits, receivePack } from '../../src/git/pack/receive.ts'
import { verifyPack } from '../../src/git/pack/verify.ts'
import { PackWriter } from '../../src/git/pack/writer.ts'
import { DeflateScanner } from '../../src/git/splice/deflate-scanner.ts'
import { CANONICAL_TRAILER_LENGTH, NO_RECORD, type SpliceRecord } from '../../src/git/splice/record.ts'
import { scannedRecord } from '../../src/git/splice/scanned-record.ts'
import { Sidecar } from '../../src/git/splice/sidecar.ts'

export class ReceivingPlace implements AsyncDisposable {
  readonly #root: string
  readonly #pool = new DeflatePool({ level: 1, workers: 1 })

  /** @param root a folder that is made, or emptied */
  constructor(root: string) {
    this.#root = root
    this.clear()
  }

  /** Removes what was received. */
  clear(): void {
    rmSync(this.#root, { recursive: true, force: true })
    for (const name of ['objects/pack', 'splice', 'tmp'])
      mkdirSync(join(this.#root, name), { recursive: true })
  }

  async receive(
    source: AsyncIterable<Uint8Array>,
    limits: PackLimits,
    signal?: AbortSignal,
  ): Promise<{ objects: number; bytes: number }> {
    const [packDir, spliceDir, tmpDir] = ['objects/pack', 'splice', 'tmp'].map((name) =>
      join(this.#root, name),
    )
    const database = await ObjectDatabase.open(join(this.#root, 'objects'))
    const pool = this.#pool
    try {
      return await receivePack(source, {
        limits,
        packDir: packDir!,
        spliceDir: spliceDir!,
        tmpDir: tmpDir!,
        deltaTools: async () => ({
          database,
          openPack: () =>
            PackWriter.create({ tmpDir: tmpDir!, pool, level: 1, has: (oid) => database.has(oid) }),
          completePack: async (writer) => {
            const pack = await writer.finish(packDir!, spliceDir!)
            if (pack !== undefined) await database.addPack(pack.path)
          },
        }),
        onPack: async ({ path }) => void (await database.addPack(path)),
        signal,
      })
    } finally {
      database.close()
    }
  }

  /**
   * Checks that every object is what its id says, that every splice record is the one that reading the stream makes, and that
   * nothing else lies about; gives the ids.
   */
  async check(): Promise<Set<string>> {
    assert.deepEqual(readdirSync(join(this.#root, 'tmp')), [])
    const oids = new Set<string>()
    const folder = join(this.#root, 'objects/pack')
    const names = readdirSync(folder).filter((name) => name.endsWith('.pack'))
    assert.equal(readdirSync(folder).length, 2 * names.length)
    for (const name of names) {
      const path = join(folder, name)
      assert.deepEqual((await verifyPack(path)).problems, [])
      const pack = await Pack.open(path)
      const sidecar = Sidecar.open(join(this.#root, 'splice', `${pack.id}.splice`), pack.id, pack.index.count)
      assert.ok(sidecar)
      const bytes = readFileSync(path)
      for (let position = 0; position < pack.index.count; position++) {
        oids.add(pack.index.oidAt(position))
        const found: SpliceRecord = sidecar.record(position)
        assert.deepEqual(found, recordOf(pack, position, bytes, found.kind === 'none' ? 0 : found.crc32))
      }
      sidecar.close()
      pack.close()
    }
    return oids
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.close()
    rmSync(this.#root, { recursive: true, force: true })
  }
}

function recordOf(pack: Pack, position: number, bytes: Buffer, crc32: number): SpliceRecord {
  const offset = pack.index.offsetAt(position)
  const { type, dataOffset } = pack.entryHeader(offset)
  if (type !== 'blob') return NO_RECORD
  const stream = bytes.subarray(dataOffset, offset + pack.index.lengthAt(position))
  const scanner = new DeflateScanner()
  scanner.push(stream)
  scanner.finish()
  return scannedRecord(scanner, stream.subarray(-CANONICAL_TRAILER_LENGTH), crc32)
}
