/**
 * `gachix add` killed (SIGKILL) at random moments, over and over: what is published is whole and serves correctly, the
 * repository passes fsck, and the next `add` completes.
 *
 * `GACHIX_TEST_KILLS` sets the number of kills (100), `GACHIX_TEST_SEED` repeats a run.
 */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { checkServed, fetchNarinfo } from '../support/cache-client.ts'
import { fsck, Gachix } from '../support/gachix.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { eachOf } from '../support/process.ts'
import { randomNumbers } from '../support/random-numbers.ts'

const KILLS = Number(process.env.GACHIX_TEST_KILLS ?? 100)
const SEED = Number(process.env.GACHIX_TEST_SEED ?? Date.now() % 1_000_000)
/** Generations of one closure: a repository takes one after the other, and begins anew when it has all. */
const GENERATIONS = ['1', '2']
/** Every so many kills the full fsck runs instead of the quick one. */
const FULL_FSCK = 10

interface Generation {
  readonly root: string
  readonly closure: readonly PathFacts[]
}

describe('add, killed at random moments', () => {
  let store: NixStore
  let gachix: Gachix
  const generations: Generation[] = []

  before(async () => {
    store = await NixStore.start()
    for (const salt of GENERATIONS) {
      const [root] = await store.build(['crowd'], { salt })
      generations.push({ root: root!, closure: await store.facts(await store.closure([root!])) })
    }
    gachix = await Gachix.create({ daemonSocket: store.socket })
  })

  after(async () => {
    await gachix?.close()
    await store?.close()
  })

  async function timedAdd(root: string): Promise<number> {
    const began = performance.now()
    await gachix.run(['add', root])
    return performance.now() - began
  }

  /** Checks all that a node serves now; gives the published packages. */
  async function checkPublished(): Promise<Set<string>> {
    const node = await gachix.serve()
    const published = new Set<string>()
    const all = generations.flatMap(({ closure }) => closure)
    await eachOf(all, 4, async (facts) => {
      if ((await fetchNarinfo(node.url, facts.path)) === undefined) return
      published.add(facts.path)
      await checkServed(node.url, facts)
    })
    for (const { path, references } of all) {
      if (!published.has(path)) continue
      for (const reference of references) assert.ok(published.has(reference), `${path} without ${reference}`)
    }
    await node.stop()
    return published
  }

  /** Lets an `add` through, checks that all is there, and gives the published packages. */
  async function completes({ root, closure }: Generation): Promise<Set<string>> {
    await gachix.run(['add', root])
    const published = await checkPublished()
    for (const { path } of closure) assert.ok(published.has(path), `${path} is missing after a complete add`)
    await fsck(gachix.repository)
    return published
  }

  test(`${KILLS} kills leave a repository that is whole (seed ${SEED})`, async (t) => {
    const random = randomNumbers(SEED)
    const [first] = generations as [Generation]
    let whole = await timedAdd(first.root)
    // An `add` that finds everything present: what a run takes before and after the work.
    const idle = await timedAdd(first.root)
    await rm(gachix.repository, { recursive: true, force: true })
    let kills = 0
    let runs = 0
    let afterwards = new Set<string>()
    const progress: number[] = []
    while (kills < KILLS) {
      assert.ok(++runs <= KILLS * 3 + 10, `only ${kills} of ${runs} runs were killed before they ended`)
      const next = generations.find(({ root }) => !afterwards.has(root))
      if (next === undefined) {
        await rm(gachix.repository, { recursive: true, force: true })
        afterwards = new Set()
        continue
      }
      const moment = idle * 0.5 + random() * (whole - idle * 0.5)
      const began = performance.now()
      if (await gachix.killed(['add', next.root], moment)) kills++
      else whole = performance.now() - began
      try {
        afterwards = await checkPublished()
        const full = kills % FULL_FSCK === 0
        await fsck(gachix.repository, full ? ['--strict', '--full'] : ['--strict', '--connectivity-only'])
        // Often enough after one kill, now and then after several in a row.
        if (!afterwards.has(next.root) && random() < 0.3) afterwards = await completes(next)
      } catch (error) {
        throw new Error(`run ${runs}, killed after ${moment.toFixed(0)} ms (seed ${SEED}): ${error}`, {
          cause: error,
        })
      }
      progress.push(afterwards.size)
    }
    for (const generation of generations) await completes(generation)
    t.diagnostic(
      `${kills} of ${runs} runs were killed; an add takes ${whole.toFixed(0)} ms, ${idle.toFixed(0)} idle`,
    )
    t.diagnostic(`published after each run: ${progress.join(' ')}`)
  })
})
