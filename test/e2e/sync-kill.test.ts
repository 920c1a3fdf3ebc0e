/**
 * `gachix sync` killed (SIGKILL) at random moments, over and over: what is published is whole, the repository passes fsck,
 * nothing that was published is lost, and the next `sync` goes on.
 *
 * `GACHIX_TEST_SYNC_KILLS` sets the number of kills (50), `GACHIX_TEST_SEED` repeats a run.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { collect } from '../support/collect.ts'
import { fsck, Gachix } from '../support/gachix.ts'
import { noise } from '../support/git-fixture.ts'
import { directory, file, type MadePackage, makePackage, sampleClosure } from '../support/packages.ts'
import { randomNumbers } from '../support/random-numbers.ts'
import { publishTo, TEAM_KEY } from '../support/replica.ts'

const KILLS = Number(process.env.GACHIX_TEST_SYNC_KILLS ?? 50)
const SEED = Number(process.env.GACHIX_TEST_SEED ?? Date.now() % 1_000_000)
/** Every so many kills the full fsck runs instead of the quick one. */
const FULL_FSCK = 10

const CLOSURE: MadePackage[] = [
  ...sampleClosure(),
  ...Array.from({ length: 30 }, (_, i) =>
    makePackage(
      `part-${i}`,
      directory({ data: file(noise(400_000, i)), [`f${i}`]: file(`${i}\n`) }),
      i === 0 ? ['large'] : ['libc', `part-${i - 1}`],
    ),
  ),
]
const ROOT = CLOSURE.at(-1)!.info.storePath

describe('sync, killed at random moments', () => {
  let folder: string
  let gachix: Gachix

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-sync-kill-'))
    await publishTo(join(folder, 'origin'), CLOSURE)
    const remote = JSON.stringify({ url: join(folder, 'origin'), name: 'origin' })
    gachix = await Gachix.create({
      settings: `store: { remotes: [${remote}] }\ntrust: { public_keys: ["${TEAM_KEY.publicKey}"] }\n`,
    })
  })
  after(async () => {
    await gachix?.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function timedSync(): Promise<number> {
    const began = performance.now()
    await gachix.run(['sync', ROOT.toString()])
    return performance.now() - began
  }

  /** Checks every package that is published, and gives their names. */
  async function published(): Promise<Set<string>> {
    const store = await GitPackageStore.open({ path: gachix.repository, shortLived: true })
    try {
      const names = new Set<string>()
      for (const { info, nar } of CLOSURE) {
        if (!store.has(info.storePath.hash)) continue
        names.add(info.storePath.name)
        for (const { hash, name } of info.references) assert.ok(store.hasClosure(hash), `without ${name}`)
        assert.ok(nar.equals(await collect(store.nar(info))), `${info.storePath.name} is whole`)
      }
      return names
    } finally {
      await store.close()
    }
  }

  test(`${KILLS} kills lose nothing, and it always goes on (seed ${SEED})`, async (t) => {
    const random = randomNumbers(SEED)
    let whole = await timedSync()
    const idle = await timedSync()
    await rm(gachix.repository, { recursive: true, force: true })
    let before = new Set<string>()
    let kills = 0
    let runs = 0
    const progress: number[] = []
    while (kills < KILLS) {
      assert.ok(++runs <= KILLS * 3 + 10, `only ${kills} of ${runs} runs were killed before they ended`)
      if (before.size === CLOSURE.length) {
        await rm(gachix.repository, { recursive: true, force: true })
        before = new Set()
      }
      const moment = idle * 0.4 + random() * (whole - idle * 0.4)
      const began = performance.now()
      if (await gachix.killed(['sync', ROOT.toString()], moment)) kills++
      else whole = performance.now() - began
      const now = await published()
      for (const name of before) assert.ok(now.has(name), `${name} was published and is lost (seed ${SEED})`)
      before = now
      progress.push(now.size)
      const full = kills % FULL_FSCK === 0
      await fsck(gachix.repository, full ? ['--strict', '--full'] : ['--strict', '--connectivity-only'])
    }
    await timedSync()
    assert.equal((await published()).size, CLOSURE.length)
    await fsck(gachix.repository)
    t.diagnostic(`${kills} of ${runs} runs were killed; published after each: ${progress.join(' ')}`)
  })
})
