import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { StorePath } from '../../src/nix/store-path.ts'
import type { PackageSource } from '../../src/store/api.ts'

/** A source that is up, with at least two packages of which one refers to another. */
export interface SourceFixture {
  readonly source: PackageSource
  /** What the source has, as it must say it. */
  readonly packages: readonly PathInfo[]
  close(): Promise<void>
}

const ABSENT = '0'.repeat(32)

/** What every `PackageSource` does (`src/store/api.ts`). */
export function packageSourceSuite(name: string, open: () => Promise<SourceFixture>): void {
  describe(`${name} as a PackageSource`, () => {
    let fixture: SourceFixture

    before(async () => {
      fixture = await open()
    })
    after(() => fixture.close())

    it('has a name and packages that refer to each other', () => {
      assert.notEqual(fixture.source.name, '')
      assert.ok(
        fixture.packages.some((info) => info.references.some(({ hash }) => hash !== info.storePath.hash)),
      )
    })

    it('tells the path info of what it has, by store path and by hash part', async () => {
      for (const info of fixture.packages) {
        assert.deepEqual(plain(await fixture.source.pathInfo(info.storePath)), plain(info))
        assert.deepEqual(plain(await fixture.source.pathInfo(info.storePath.hash)), plain(info))
      }
    })

    it('does not know what it does not have', async () => {
      assert.equal(await fixture.source.pathInfo(ABSENT), undefined)
      const { storePath } = fixture.packages[0]!
      assert.equal(
        await fixture.source.pathInfo(new StorePath(ABSENT, 'absent', storePath.storeDir)),
        undefined,
      )
    })

    it('does not take another name for the same hash part', async () => {
      const { storePath } = fixture.packages[0]!
      const other = new StorePath(storePath.hash, `${storePath.name}-other`, storePath.storeDir)
      assert.equal(await fixture.source.pathInfo(other), undefined)
    })

    it('gives NARs of the promised size and hash, several at once', async () => {
      await Promise.all(
        fixture.packages.map(async (info) => {
          const hash = createHash('sha256')
          let size = 0
          for await (const chunk of fixture.source.nar(info)) {
            hash.update(chunk)
            size += chunk.length
          }
          assert.equal(size, info.narSize)
          assert.deepEqual(hash.digest(), Buffer.from(info.narHash.digest))
        }),
      )
    })

    it('fails for the NAR of what it does not have', async () => {
      const known = fixture.packages[0]!
      const info = { ...known, storePath: new StorePath(ABSENT, 'absent', known.storePath.storeDir) }
      await assert.rejects(async () => {
        for await (const _ of fixture.source.nar(info));
      })
    })

    it('can be left in the middle of a NAR', async () => {
      for (const info of fixture.packages) {
        for await (const _ of fixture.source.nar(info)) break
      }
      assert.ok(await fixture.source.pathInfo(fixture.packages[0]!.storePath))
    })

    it('stops when it is told to', async () => {
      const signal = AbortSignal.abort()
      await assert.rejects(async () => {
        for await (const _ of fixture.source.nar(fixture.packages[0]!, { signal }));
      })
    })
  })
}

/** A path info as plain data, for comparing. */
function plain(info: PathInfo | undefined): unknown {
  if (info === undefined) return undefined
  return {
    path: info.storePath.toString(),
    narHash: Buffer.from(info.narHash.digest).toString('hex'),
    narSize: info.narSize,
    references: info.references.map(String),
    deriver: info.deriver?.toString(),
    signatures: [...info.signatures],
    ca: info.ca,
  }
}
