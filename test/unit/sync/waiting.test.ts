/** Pulls that wait for each other: who waits can leave, sees whether the others get on, and is not held up by a dead one. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { noise } from '../../support/git-fixture.ts'
import { directory, file, makePackage } from '../../support/packages.ts'
import { until } from '../../support/process.ts'
import { publishTo, Replica, WatchedSource } from '../../support/replica.ts'

const LIBRARY = makePackage('library', directory({ lib: file(noise(400_000, 5)) }))
const PROGRAM = makePackage('program', directory({ bin: file('program\n', true) }), ['library'])
const OTHERS = ['a', 'b', 'c', 'd', 'e'].map((name) => makePackage(name, file(name)))
const [library, program] = [LIBRARY, PROGRAM].map(({ info }) => info.storePath.hash) as [string, string]
/** The longest that anybody may wait for what does not come, in milliseconds; a good part is for a loaded machine. */
const PATIENCE = 2_500 + 2_000

let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-waiting-'))
  await publishTo(join(folder, 'origin'), [LIBRARY, PROGRAM, ...OTHERS])
})
after(() => rm(folder, { recursive: true, force: true }))

/** A source that sends contents as `send` does. */
function sourceThat(send: (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>): WatchedSource {
  const source = new WatchedSource('origin', join(folder, 'origin'))
  source.faults.pack = (chunks, { omitBlobs }) => (omitBlobs ? send(chunks) : chunks)
  return source
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  await delay(60_000, undefined, { ref: false })
  yield Buffer.alloc(0)
}

/** In pieces of 40 KB, which take longer together than a pull may stall. */
async function* slowly(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += 40_000) {
      await delay(300)
      yield chunk.subarray(at, at + 40_000)
    }
  }
}

describe('a pull that waits for another', () => {
  test('ends with its signal, and leaves the other alone', async () => {
    await using replica = await Replica.open([{ source: sourceThat(nothing) }])
    const first = new AbortController()
    const stuck = replica.puller.pull([library], { signal: first.signal })
    const second = new AbortController()
    let waits = false
    const waiting = replica.puller.pull([program], {
      signal: second.signal,
      onWaiting: () => {
        waits = true
      },
    })
    stuck.catch(() => {})
    waiting.catch(() => {})
    await until(
      () => 'the second pull to wait',
      async () => waits || undefined,
    )
    second.abort()
    await assert.rejects(waiting, { code: 'ERR_ABORTED' })
    first.abort()
    await assert.rejects(stuck, { code: 'ERR_ABORTED' })
  })

  test('is waited for as long as the other gets on', async () => {
    const source = new WatchedSource('origin', join(folder, 'origin'))
    source.faults.pack = (chunks, { haves, omitBlobs, wants }, call) =>
      omitBlobs || haves.length > 0 || wants.length > 1 || call === 0 ? chunks : slowly(chunks)
    await using replica = await Replica.open([{ source }])
    assert.ok(await replica.onDemand.find(library))
    assert.ok(await replica.onDemand.find(program))
    const arrivals = await Promise.all([library, program].map((hash) => replica.onDemand.arrival(hash)))
    assert.deepEqual(arrivals, [true, true])
  })
})

test('pulls that have stalled do not make others wait for them', async () => {
  await using replica = await Replica.open([{ source: sourceThat(nothing) }])
  const hashes = OTHERS.map(({ info }) => info.storePath.hash)
  for (const hash of hashes) assert.ok(await replica.onDemand.find(hash))
  const started = performance.now()
  const arrived = await Promise.all(hashes.map((hash) => replica.onDemand.arrival(hash)))
  const took = performance.now() - started
  assert.deepEqual(arrived, [false, false, false, false, false])
  assert.ok(took < PATIENCE, `${took} ms`)
  // Nix remembers for an hour that a cache lacks a package, and this one may still come.
  for (const hash of hashes) assert.ok(await replica.onDemand.find(hash))
})
