import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { RemotePackage, RepositorySession, RepositorySource } from '../../src/store/api.ts'
import { GachixError } from '../../src/util/errors.ts'
import { childProcesses } from '../support/child-processes.ts'
import { collect } from '../support/collect.ts'
import { run, runLines, until } from '../support/process.ts'

/** A source that is up, with a closure of at least three packages whose last has more than a MiB of its own. */
export interface RepositoryFixture {
  readonly source: RepositorySource
  /** What it has, references before what refers to them. */
  readonly packages: readonly RemotePackage[]
  /** The repository that it gives, for Git to look into. */
  readonly gitDir: string
  readonly selective: boolean
  close(): Promise<void>
}

const ABSENT = '0'.repeat(32)

/** What every `RepositorySource` does (`src/store/api.ts`). */
export function repositorySourceSuite(name: string, open: () => Promise<RepositoryFixture>): void {
  describe(`${name} as a RepositorySource`, () => {
    let fixture: RepositoryFixture
    let session: RepositorySession
    let folder: string

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'gachix-fetched-'))
      fixture = await open()
      session = await fixture.source.open()
    })
    after(async () => {
      await session?.close()
      await fixture?.close()
      await rm(folder, { recursive: true, force: true })
    })

    const git = (...args: string[]) => runLines('git', ['-C', fixture.gitDir, ...args])
    const commits = () => fixture.packages.map(({ commit }) => commit!)
    const objectsOf = async (...args: string[]) =>
      (await git('rev-list', '--objects', '--no-object-names', ...args)).sort()
    const fetched = async (wants: readonly string[], haves: readonly string[] = [], omitBlobs = false) =>
      collect(session.fetch({ wants, haves, omitBlobs }))

    it('has a name, and says whether it is selective', () => {
      assert.notEqual(fixture.source.name, '')
      assert.equal(session.selective, fixture.selective)
    })

    it('tells what it has of some packages, and nothing of others', async () => {
      const [first, second, third] = fixture.packages
      const found = await session.packages([third!.hash, ABSENT, first!.hash])
      assert.deepEqual([...found.keys()].sort(), [first!.hash, third!.hash].sort())
      assert.deepEqual(found.get(first!.hash), first)
      assert.deepEqual((await session.packages([second!.hash])).get(second!.hash), second)
      assert.equal((await session.packages([])).size, 0)
    })

    it('takes very many questions at once', async () => {
      const digits = '0123456789abcdfghijklmnpqrsvwxyz'
      const absent = Array.from({ length: 6000 }, (_, i) =>
        [...Array(32).keys()].map((k) => digits[(i * (k + 7) + k * k) % 32]).join(''),
      )
      const found = await session.packages([...absent, ...fixture.packages.map(({ hash }) => hash)])
      assert.equal(found.size, fixture.packages.length)
    })

    it('lists everything', async () => {
      const listed = await Array.fromAsync(session.list())
      const byHash = (a: RemotePackage, b: RemotePackage) => (a.hash < b.hash ? -1 : 1)
      assert.deepEqual(listed.sort(byHash), [...fixture.packages].sort(byHash))
    })

    it('sends closures with all that they reach', async () => {
      const clone = join(folder, 'whole')
      assert.deepEqual(await contentsOf(await fetched(commits()), clone), await objectsOf(...commits()))
      await run('git', ['-C', clone, 'fsck', '--strict', '--no-dangling'])
    })

    it('sends narinfos, which refs name', async () => {
      const narinfos = fixture.packages.map(({ narinfo }) => narinfo)
      const contents = await contentsOf(await fetched(narinfos), join(folder, 'narinfos'))
      assert.deepEqual(contents, [...new Set(narinfos)].sort())
    })

    it('sends nothing of what the receiver has', async () => {
      const last = commits().at(-1)!
      const haves = await git('rev-list', '--parents', '-1', last).then(([line]) => line!.split(' ').slice(1))
      assert.ok(haves.length > 0)
      const missing = await objectsOf(last, '--not', ...haves)
      const whole = await objectsOf(last)
      assert.ok(missing.length < whole.length)
      const clone = join(folder, 'partial')
      await contentsOf(await fetched(haves), clone)
      const pack = await fetched([last], haves)
      assert.equal(pack.readUInt32BE(8), missing.length, 'objects in the pack')
      assert.deepEqual(await contentsOf(pack, clone), whole, 'the two make a whole')
      assert.equal((await fetched([last], [last])).readUInt32BE(8), 0)
    })

    it('sends trees without their blobs, and single blobs, when it is selective', async () => {
      const last = commits().at(-1)!
      if (!fixture.selective) {
        await assert.rejects(fetched([last], [], true), GachixError)
        return
      }
      const clone = join(folder, 'selective')
      const trees = await objectsOf(last, '--filter=blob:none')
      const all = await objectsOf(last)
      assert.deepEqual(await contentsOf(await fetched([last], [], true), clone), trees)
      const blobs = all.filter((oid) => !trees.includes(oid))
      const some = blobs.slice(0, 2)
      assert.equal((await fetched(some, [], true)).readUInt32BE(8), some.length)
      const [tree] = await git('rev-parse', `${last}^{tree}`)
      assert.deepEqual(
        await contentsOf(await fetched([tree!], [], true), join(folder, 'tree')),
        await objectsOf(tree!, '--filter=blob:none'),
      )
      assert.deepEqual(await contentsOf(await fetched(blobs, [], true), clone), all)
    })

    it('refuses what it does not have, and goes on', async () => {
      await assert.rejects(fetched(['1'.repeat(40)]), GachixError)
      const [first] = fixture.packages
      assert.equal((await session.packages([first!.hash])).size, 1)
      assert.notEqual((await fetched([first!.commit!])).length, 0)
    })

    it('can be left in the middle of a pack, and goes on', async () => {
      for await (const _ of session.fetch({ wants: commits(), haves: [] })) break
      for await (const _ of session.list()) break
      assert.equal((await Array.fromAsync(session.list())).length, fixture.packages.length)
    })

    it('counts its bytes', async () => {
      const { bytesReceived, bytesSent } = session
      const pack = await fetched(commits())
      assert.ok(session.bytesReceived - bytesReceived >= pack.length)
      assert.ok(session.bytesSent > bytesSent)
    })

    it('stops when it is told to, and leaves nothing behind', async () => {
      const stopping = new AbortController()
      const other = await fixture.source.open({ signal: stopping.signal })
      await assert.rejects(
        async () => {
          const request = { wants: commits(), haves: [] }
          for await (const _ of other.fetch(request, { signal: stopping.signal })) stopping.abort()
        },
        { code: 'ERR_ABORTED' },
      )
      await assert.rejects(other.packages([ABSENT], { signal: stopping.signal }), { code: 'ERR_ABORTED' })
      await other.close()
      await assert.rejects(fixture.source.open({ signal: AbortSignal.abort() }), { code: 'ERR_ABORTED' })
    })

    it('is of no use once it is closed, and leaves nothing behind', async () => {
      const other = await fixture.source.open()
      const pack = other.fetch({ wants: commits(), haves: [] })[Symbol.asyncIterator]()
      await pack.next()
      await other.close()
      await assert.rejects(async () => {
        while (!(await pack.next()).done);
      }, GachixError)
      await other.close()
      await assert.rejects(collect(other.fetch({ wants: commits(), haves: [] })), GachixError)
      await session.close()
      let left: string[] = []
      await until(
        () => `the end of ${left.join('; ')}`,
        async () => {
          left = (await childProcesses()).filter((line) => /upload-pack|ssh .* -- /.test(line))
          return left.length === 0 ? true : undefined
        },
      )
    })
  })
}

/** Has Git check a pack and put it into a repository, which is made if need be. @returns all that is there then, sorted */
async function contentsOf(pack: Buffer, repository: string): Promise<string[]> {
  const git = ['-C', repository]
  await run('git', ['init', '-q', '--bare', repository])
  await run('git', [...git, 'index-pack', '--stdin', '--fix-thin'], { input: pack })
  const all = ['cat-file', '--batch-all-objects', '--batch-check=%(objectname)']
  return (await runLines('git', [...git, ...all])).sort()
}
