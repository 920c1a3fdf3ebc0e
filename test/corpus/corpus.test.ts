/**
 * Two generations of a corpus of real packages: added through a real daemon, fetched by this machine's Nix with
 * signatures required, verified, every NAR compared. `environment.ts` says where the corpus comes from.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { checkServed } from '../support/cache-client.ts'
import { fsck, Gachix, type GachixNode } from '../support/gachix.ts'
import type { PathFacts } from '../support/nix.ts'
import { eachOf, run } from '../support/process.ts'
import { checkSubstitution } from '../support/substitution.ts'
import { type Corpus, openCorpus } from './environment.ts'

const GENERATIONS = ['A', 'B'] as const

describe('the corpus', () => {
  let corpus: Corpus
  let gachix: Gachix
  let node: GachixNode
  let key: { secretFile: string; publicKey: string }
  const closures = {} as Record<(typeof GENERATIONS)[number], PathFacts[]>

  before(async () => {
    corpus = await openCorpus()
    key = await corpus.store.signingKey('corpus.test-1')
    gachix = await Gachix.create({ daemonSocket: corpus.store.socket, keyFile: key.secretFile })
    for (const name of GENERATIONS) {
      closures[name] = await corpus.store.facts(await corpus.store.closure([corpus.systems[name]]))
    }
  })

  after(async () => {
    await gachix?.close()
    await corpus?.store.close()
  })

  test('both generations are added', async (t) => {
    for (const name of GENERATIONS) {
      const began = performance.now()
      await gachix.run(['add', corpus.systems[name]])
      const seconds = (performance.now() - began) / 1000
      const bytes = closures[name].reduce((sum, { narSize }) => sum + narSize, 0)
      const size = (await run('du', ['-sb', gachix.repository])).toString().split('\t')[0]
      t.diagnostic(
        `${name}: ${closures[name].length} paths, ${megabytes(bytes)} MB of NARs added in ${seconds.toFixed(1)} s ` +
          `(${(bytes / 1e6 / seconds).toFixed(0)} MB/s); the repository has ${megabytes(Number(size))} MB`,
      )
    }
  })

  test('the repository passes `git fsck --strict --full`', async () => {
    await fsck(gachix.repository)
  })

  test('every package is served as Nix knows it, gzip and plain', async () => {
    node = await gachix.serve()
    const all = new Map(GENERATIONS.flatMap((name) => closures[name]).map((facts) => [facts.path, facts]))
    await eachOf(all.values(), 2, async (facts) => {
      await checkServed(node.url, facts)
    })
  })

  for (const name of GENERATIONS) {
    for (const fetchWith of ['nix copy', 'nix-store -r'] as const) {
      test(`\`${fetchWith}\` fetches generation ${name} into an empty store`, async () => {
        assert.ok(node !== undefined, 'no node runs')
        const cache = { url: node.url, publicKeys: [key.publicKey] }
        await checkSubstitution({
          cache,
          roots: [corpus.systems[name]],
          closure: closures[name],
          with: fetchWith,
        })
      })
    }
  }
})

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
