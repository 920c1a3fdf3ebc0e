/** Which objects are chosen to be sent, compared with what `git rev-list --objects` reaches. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { ObjectDatabase } from '../../../src/git/object-database.ts'
import { ObjectNotFoundError } from '../../../src/git/object-errors.ts'
import { type SelectRequest, selectObjects } from '../../../src/git/walk/select.ts'
import { AbortedError } from '../../../src/util/errors.ts'
import { GitFixture, history } from '../../support/git-fixture.ts'

describe('the walk', () => {
  let fixture: GitFixture
  let database: ObjectDatabase
  /** Two branches that share files, and merges of both. */
  let commits: string[]

  before(async () => {
    fixture = await GitFixture.create()
    const versions = history()
    await fixture.fastImport(versions)
    await fixture.fastImport(versions.slice(3).toReversed(), 'other')
    const list = await fixture.git('rev-list', '--all')
    commits = list.toString().trim().split('\n')
    for (let merge = 0; merge < 6; merge++) {
      const [a = '', b = ''] = [commits[merge * 3], commits[merge * 2 + 1]]
      const made = await fixture.git('commit-tree', `${a}^{tree}`, '-p', a, '-p', b, '-m', `merge ${merge}`)
      commits.push(made.toString().trim())
    }
    database = await ObjectDatabase.open(fixture.objectsDir)
  })

  after(async () => {
    database?.close()
    await fixture?.remove()
  })

  async function select(request: SelectRequest): Promise<string[]> {
    const selection = await selectObjects(database, request)
    const oids = Array.from({ length: selection.count }, (_, number) => selection.at(number).toString('hex'))
    assert.equal(new Set(oids).size, oids.length, 'an object comes twice')
    return oids
  }

  /** What `git` reaches from these objects. */
  async function reach(oids: readonly string[], ...options: string[]): Promise<string[]> {
    if (oids.length === 0) return []
    const output = await fixture.git('rev-list', '--objects', '--no-object-names', ...options, ...oids)
    return output.toString().trim().split('\n')
  }

  async function resolve(revision: string): Promise<string> {
    return (await fixture.git('rev-parse', revision)).toString().trim()
  }

  test('sends what the wants reach and no have reaches', async () => {
    const some = fc.subarray(commits, { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(some, some, async (wants, haves) => {
        const had = new Set(await reach(haves))
        const expected = (await reach(wants)).filter((oid) => !had.has(oid))
        assert.deepEqual((await select({ wants, haves })).sort(), expected.sort())
      }),
      { numRuns: 40 },
    )
  })

  test('filters leave out what is not wanted by its id', async () => {
    const wants = commits.slice(0, 2)
    const reached = await reach(wants)
    for (const filter of ['blob:none', 'tree:0'] as const) {
      const expected = await reach(wants, `--filter=${filter}`)
      assert.ok(expected.length < reached.length)
      assert.deepEqual((await select({ wants, haves: [], filter })).sort(), expected.toSorted())
      const blob = await resolve(`${wants[0]}:dir1/file1.txt`)
      const more = await select({ wants: [...wants, blob], haves: [], filter })
      assert.deepEqual(more.sort(), [...new Set([...expected, blob])].sort())
    }
    const tree = await resolve(`${commits[5]}^{tree}`)
    assert.deepEqual(await select({ wants: [tree], haves: [], filter: 'tree:0' }), [tree])
  })

  test('trees, blobs and tags may be wanted and had', async () => {
    const tree = await resolve(`${commits[0]}^{tree}`)
    const below = await resolve(`${commits[0]}:dir1`)
    const blob = await resolve(`${commits[0]}:dir1/file1.txt`)
    assert.deepEqual(await select({ wants: [blob], haves: [] }), [blob])
    const all = await reach([tree])
    assert.deepEqual((await select({ wants: [tree, blob], haves: [] })).sort(), all.toSorted())
    const had = new Set(await reach([below]))
    assert.deepEqual(
      (await select({ wants: [tree], haves: [below] })).sort(),
      all.filter((oid) => !had.has(oid)).sort(),
    )
    assert.deepEqual(await select({ wants: [blob], haves: [commits[0]!] }), [])
    await fixture.git('tag', '-a', 'outer', '-m', 'of a commit', commits[0]!)
    const tag = await resolve('outer')
    await database.refresh()
    assert.deepEqual((await select({ wants: [tag], haves: [] })).sort(), (await reach([tag])).sort())
    assert.deepEqual(await select({ wants: [tag], haves: [commits[0]!] }), [tag])
    const tags = [{ tag, target: commits[0]! }]
    assert.ok((await select({ wants: [commits[0]!], haves: [], tags })).includes(tag))
    assert.ok(!(await select({ wants: [commits.at(-1)!], haves: [commits[0]!], tags })).includes(tag))
  })

  test('commits come first, then trees, then blobs as a NAR has them', async () => {
    const files = ['a/z', 'a.b', 'a0', 'b/c/d', 'b/c.d', 'b/c0'].map(
      (path) => [path, Buffer.from(path)] as const,
    )
    await fixture.fastImport([files.map(([path, data]) => [path, data])], 'order')
    await database.refresh()
    const commit = await resolve('order')
    const oids = await select({ wants: [commit], haves: [] })
    const trees = await Promise.all(['^{tree}', ':a', ':b', ':b/c'].map((path) => resolve(`order${path}`)))
    // Git would have `a.b` before `a/`.
    const blobs = ['a/z', 'a.b', 'a0', 'b/c/d', 'b/c.d', 'b/c0'].map((path) => resolve(`order:${path}`))
    assert.deepEqual(oids, [commit, ...trees, ...(await Promise.all(blobs))])
  })

  test('a missing object is an error of a want and nothing for a have', async () => {
    const missing = '1234567890123456789012345678901234567890'
    await assert.rejects(select({ wants: [missing], haves: [] }), ObjectNotFoundError)
    const [commit = ''] = commits
    assert.deepEqual(
      (await select({ wants: [commit], haves: [missing] })).sort(),
      (await reach([commit])).sort(),
    )
  })

  test('can be stopped', async () => {
    const signal = AbortSignal.abort()
    await assert.rejects(
      selectObjects(database, { wants: [commits[0]!], haves: [] }, { signal }),
      AbortedError,
    )
  })
})
