/** Pulls that fail half-way: nothing goes on behind their backs, and nobody is blamed for what is our own. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { SyncEvent } from '../../../src/store/sync-event.ts'
import { noise } from '../../support/git-fixture.ts'
import { directory, file, makePackage } from '../../support/packages.ts'
import { run } from '../../support/process.ts'
import { publishTo, Replica, WatchedSource } from '../../support/replica.ts'

const MEBIBYTE = 1024 * 1024

let folder: string
const at = (name: string) => join(folder, name)

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-failures-'))
})
after(() => rm(folder, { recursive: true, force: true }))

describe('a pull that fails', () => {
  test('ends what is still coming, before the quarantine is closed', async () => {
    const sized = (name: string, mebibytes: number, text: string) =>
      makePackage(name, directory({ data: file(Buffer.alloc(mebibytes * MEBIBYTE, text)) }))
    // Each is a batch: the first is being proven while the third comes.
    const packages = [sized('first', 9, 'a'), sized('second', 9, 'b'), sized('third', 30, 'c')]
    const { hash } = packages[0]!.info.storePath
    await publishTo(at('honest'), packages)
    await publishTo(at('liar'), [sized('first', 9, 'x'), ...packages.slice(1)])
    const narinfo = `refs/${hash}/narinfo`
    await run('git', ['-C', at('liar'), 'fetch', '--quiet', at('honest'), `+${narinfo}:${narinfo}`])
    const source = new WatchedSource('liar', at('liar'))
    let open = 0
    source.faults.pack = async function* (chunks, _, call) {
      // Narinfos; then trees and blobs of each batch.
      if (call < 6) yield* chunks
      else {
        open++
        try {
          for (;;) {
            yield Buffer.alloc(0)
            await new Promise((resolve) => setTimeout(resolve, 5))
          }
        } finally {
          open--
        }
      }
    }
    await using replica = await Replica.open([{ source }])
    const [link] = replica.links
    const hashes = packages.map(({ info }) => info.storePath.hash)
    const { found } = await link!.find(hashes, {})
    const wanted = hashes.map((each) => found.get(each)!)
    const told = { onBytes() {}, onPublishing() {}, onPackage() {} }
    await assert.rejects(link!.fetch(wanted, [], told), { code: 'ERR_NAR_MISMATCH' })
    // What went on unseen would ask for more soon.
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal(open, 0, 'nothing is coming any more')
    const root = join(replica.store.ownDir, 'quarantine')
    for (const name of await readdir(root)) assert.deepEqual(await readdir(join(root, name, 'tmp')), [])
  })

  test('for want of room here blames no source, and asks no other one', async () => {
    const large = makePackage('large', directory({ data: file(noise(400_000, 1)) }))
    await publishTo(at('roomy'), [large])
    const sources = ['one', 'two'].map((name) => new WatchedSource(name, at('roomy')))
    await using replica = await Replica.open(
      sources.map((source) => ({ source })),
      undefined,
      { quarantineBytes: 100_000 },
    )
    const events: SyncEvent[] = []
    const pulling = replica.puller.pull([large.info.storePath.hash], {
      onEvent: (event) => events.push(event),
    })
    await assert.rejects(pulling, { code: 'ERR_BUDGET_EXCEEDED', message: /no room .* 100000 bytes/ })
    assert.deepEqual(replica.verdicts, [])
    assert.deepEqual(
      events.filter(({ type }) => type === 'source-failed'),
      [],
    )
    for (const { health } of replica.links) assert.equal(health.snapshot.failures, 0)
  })
})
