/** A repository into which packs are written one by one, each of a known age. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { DeflatePool } from '../../src/git/deflate/pool.ts'
import type { Oid } from '../../src/git/oid.ts'
import { PackWriter } from '../../src/git/pack/writer.ts'
import type { GitFixture } from './git-fixture.ts'
import { fixtureFor } from './object-database.ts'

export class PackPlace {
  readonly fixture: GitFixture
  readonly packDir: string
  readonly tmpDir: string
  readonly spliceDir: string

  private constructor(fixture: GitFixture) {
    this.fixture = fixture
    this.packDir = fixture.packDir
    this.tmpDir = join(fixture.root, 'tmp')
    this.spliceDir = join(fixture.root, 'splice')
  }

  /** Removed with the test that asks for it. */
  static async create(t: TestContext): Promise<PackPlace> {
    const place = new PackPlace(await fixtureFor(t))
    for (const directory of [place.tmpDir, place.spliceDir]) mkdirSync(directory)
    return place
  }

  /** Writes a pack of these blobs, dated `age` seconds ago; what earlier packs have is written again. */
  async write(blobs: readonly Buffer[], age: number, level = 6): Promise<{ path: string; oids: Oid[] }> {
    const pool = new DeflatePool({ level })
    try {
      const writer = await PackWriter.create({ tmpDir: this.tmpDir, pool, level, has: () => false })
      const oids = blobs.map((blob) => {
        writer.blobStart(blob.length)
        writer.blobData(blob)
        return writer.blobEnd()
      })
      await writer.ready()
      const pack = await writer.finish(this.packDir, this.spliceDir)
      assert.ok(pack)
      const time = Math.floor(Date.now() / 1000) - age
      await utimes(pack.path, time, time)
      return { path: pack.path, oids }
    } finally {
      await pool.close()
    }
  }
}
