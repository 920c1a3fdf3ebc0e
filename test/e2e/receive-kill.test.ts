/**
 * Taking in and publishing, killed (SIGKILL) at random moments, over and over: the repository passes fsck, what is
 * published is whole, what was received is kept, and the next attempt completes.
 *
 * `GACHIX_TEST_RECEIVE_KILLS` sets the number of kills (15), `GACHIX_TEST_SEED` repeats a run.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { formatStoredNarInfo } from '../../src/nix/narinfo.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { Random } from '../fuzz/random.ts'
import { fsck } from '../support/gachix.ts'
import { noise, prose } from '../support/git-fixture.ts'
import { directory, file, type MadePackage, makePackage } from '../support/packages.ts'
import { checkPublished, Sender, WITH_DELTAS } from '../support/quarantine.ts'
import type { Announced } from '../support/receive-and-publish.ts'

const KILLS = Number(process.env.GACHIX_TEST_RECEIVE_KILLS ?? 15)
const SEED = Number(process.env.GACHIX_TEST_SEED ?? Date.now() % 1_000_000)
const CHILD = join(import.meta.dirname, '../support/receive-and-publish.ts')
const STAGES = ['receive', 'admit', 'publish', 'admit', 'publish'] as const
const NEVER: number = -1

/** A chain of packages with small files, and large ones that take a while. */
function packages(): MadePackage[] {
  return Array.from({ length: 6 }, (_, i) => {
    const small = Array.from({ length: 60 }, (_, j) => [`f${j}`, file(prose(2000 + 100 * j, i * 100 + j))])
    const large = { large: file(Buffer.concat([noise(400_000, i), prose(800_000, 1)])) }
    return makePackage(
      `link-${i}`,
      directory({ ...Object.fromEntries(small), ...large }),
      i > 0 ? [`link-${i - 1}`] : [],
    )
  })
}

describe('taking in a pack, killed at random moments', () => {
  const random = new Random(SEED)
  const made = packages()
  let root: string
  let oids: string[]
  let kept = 0
  /** How long each stage takes, in milliseconds. */
  const durations: number[] = []

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'gachix-receive-kill-'))
    const path = join(root, 'sender')
    const store = await GitPackageStore.open({ path })
    const session = store.ingest()
    for (const { info, nar } of made)
      await session.add(
        info,
        (async function* () {
          yield nar
        })(),
      )
    await session.finish()
    await store.close()
    const sender = new Sender(path)
    const commits = await sender.commits(made)
    const announced = made.map(({ info }, i): Announced => {
      return { narinfo: formatStoredNarInfo(info, 'nar/none.nar'), commit: commits[i]! }
    })
    writeFileSync(join(root, 'pack'), await sender.pack(commits, WITH_DELTAS))
    writeFileSync(join(root, 'packages.json'), JSON.stringify(announced))
    const listed = (await sender.git(['rev-list', '--objects', ...commits])).toString()
    oids = listed
      .trim()
      .split('\n')
      .map((line) => line.slice(0, 40))
  })
  after(() => rmSync(root, { recursive: true }))

  /** Runs the child; kills it some time after it has begun with the stage of this number. Whether it was killed. */
  async function attempt(path: string, stage = NEVER, delay = 0): Promise<boolean> {
    const child = spawn(process.execPath, [CHILD, path, root], { stdio: ['ignore', 'pipe', 'pipe'] })
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    let begun = performance.now()
    let seen = 0
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      for (const _ of text.trim().split('\n')) {
        if (stage === NEVER && seen > 0) durations[seen - 1] = performance.now() - begun
        begun = performance.now()
        if (seen++ === stage) setTimeout(() => child.kill('SIGKILL'), delay)
      }
    })
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
    if (signal !== 'SIGKILL') assert.equal(code, 0, errors)
    return signal === 'SIGKILL'
  }

  it(`${KILLS} kills with seed ${SEED}`, async (t) => {
    const whole = join(root, 'whole')
    assert.equal(await attempt(whole), false)
    await check(whole, true)
    let killed = 0
    for (let round = 0; killed < KILLS; round++) {
      const path = join(root, `round-${round}`)
      // Two or three kills on the way, then to the end.
      for (let i = 2 + random.below(2); i > 0; i--) {
        const stage = random.below(STAGES.length)
        const delay = random.below(Math.ceil(durations[stage]! * 1.1))
        if (!(await attempt(path, stage, delay))) continue
        killed++
        await check(path, false)
      }
      assert.equal(await attempt(path), false)
      await check(path, true)
      rmSync(path, { recursive: true })
    }
    t.diagnostic(`${killed} kills; ${kept} objects were found in quarantine afterwards`)
    assert.ok(kept > 0)
  })

  async function check(path: string, complete: boolean): Promise<void> {
    await fsck(path)
    const store = await GitPackageStore.open({ path, shortLived: true })
    try {
      const published = made.filter(({ info }) => store.has(info.storePath.hash))
      await checkPublished(store, published)
      if (complete) assert.equal(published.length, made.length)
      const quarantine = await store.quarantine('peer')
      if (published.length === 0) kept += oids.filter((oid) => quarantine.has(oid)).length
      await quarantine.close()
    } finally {
      await store.close()
    }
  }
})
