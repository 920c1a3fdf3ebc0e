/** What is known of NARs whose blobs are coming: bounded, also where they never come. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { ObjectDatabase } from '../../../../src/git/object-database.ts'
import { Expectations } from '../../../../src/store/quarantine/expectations.ts'
import type { NarRecipe } from '../../../../src/store/quarantine/receiving/nar-recipe.ts'
import { ReceiverThread } from '../../../../src/store/quarantine/receiving/thread.ts'
import { directory, file, makePackage } from '../../../support/packages.ts'
import { folderFor, Sender } from '../../../support/quarantine.ts'

/** Bytes of recipes, of each package some 20,000. */
const MOST = 100_000

class WatchedThread extends ReceiverThread {
  readonly bytes = new Map<number, number>()

  override expect(recipe: NarRecipe): number {
    const bytes = recipe.framing.length + recipe.oids.length
    const id = super.expect(recipe)
    assert.deepEqual([recipe.framing.length, recipe.oids.length], [0, 0], 'nothing of it stays here')
    this.bytes.set(id, bytes)
    return id
  }

  override take(id: number): ReturnType<ReceiverThread['take']> {
    this.bytes.delete(id)
    return super.take(id)
  }
}

it('forgets the oldest recipes when there are too many, and all at the end', async (t) => {
  const files = (seed: number) =>
    Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${i}`, file(`${seed} and ${i}\n`)]))
  const packages = Array.from({ length: 20 }, (_, i) => makePackage(`package-${i}`, directory(files(i))))
  const sender = await Sender.of(t, packages)
  // Commits and trees only: no blob ever comes.
  const folder = join(await folderFor(t), 'trees.git')
  const commits = await sender.commits(packages)
  const filter = ['--bare', '--filter=blob:none', '--no-local', '--quiet']
  await sender.git(['config', 'uploadpack.allowFilter', 'true'])
  await sender.git(['clone', '--mirror', ...filter, `file://${sender.path}`, folder])
  const database = await ObjectDatabase.open(join(folder, 'objects'))
  t.after(() => database.close())
  const thread = new WatchedThread()
  t.after(() => thread.close())
  const expectations = new Expectations(database, thread, MOST)
  const trees = await Promise.all(commits.map((commit) => sender.line(['rev-parse', `${commit}^{tree}`])))
  for (const [i, { info }] of packages.entries()) {
    const [missing] = await expectations.expect([{ info, tree: trees[i]! }], undefined)
    assert.equal(missing?.length, 100)
    const bytes = [...thread.bytes.values()].reduce((sum, each) => sum + each, 0)
    assert.ok(bytes > 0 && bytes <= MOST, `${bytes} bytes after ${i + 1} packages`)
  }
  assert.ok(thread.bytes.size > 2 && thread.bytes.size < packages.length)
  expectations.close()
  assert.equal(thread.bytes.size, 0)
})
