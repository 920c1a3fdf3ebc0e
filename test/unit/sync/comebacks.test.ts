/** Sources that are lost in the middle of a pull and come back, or do not. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { SyncEvent } from '../../../src/store/sync-event.ts'
import { Comebacks } from '../../../src/sync/pull/comebacks.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { noise } from '../../support/git-fixture.ts'
import { directory, file, makePackage } from '../../support/packages.ts'
import { publishTo, Replica, WatchedSource } from '../../support/replica.ts'

const LARGE = makePackage('large', directory({ data: file(noise(400_000, 1)) }))
const { hash } = LARGE.info.storePath

let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-comebacks-'))
  await publishTo(join(folder, 'origin'), [LARGE])
})
after(() => rm(folder, { recursive: true, force: true }))

/** A source whose connection breaks when it is to send its third pack, that of the blobs, and that is away from then on. */
function vanishing(): WatchedSource {
  const source = new WatchedSource('origin', join(folder, 'origin'))
  source.faults.pack = async function* (chunks, _, call) {
    if (call === 2) {
      source.faults.unreachable = new GachixError('ERR_DOWN', 'nobody is there')
      throw new GachixError('ERR_CUT', 'the connection broke')
    }
    yield* chunks
  }
  return source
}

describe('a source that is lost in the middle of a pull', () => {
  test('is waited for, and gives the rest when it is back', async () => {
    const source = vanishing()
    await using replica = await Replica.open([{ source }])
    const waits: number[] = []
    const onEvent = (event: SyncEvent) => {
      if (event.type !== 'waiting') return
      assert.deepEqual(event.sources, ['origin'])
      if (waits.push(event.milliseconds) === 2) delete source.faults.unreachable
    }
    const { added } = await replica.puller.pull([hash], { onEvent, comeback: 30_000 })
    assert.equal(added, 1)
    assert.deepEqual(waits, [500, 1000])
    assert.equal(
      source.wants.length,
      new Set(source.wants).size + 1,
      'only the blob had to be asked for again',
    )
  })

  test('that stays away ends it by its last failure, once the time is up', async () => {
    await using replica = await Replica.open([{ source: vanishing() }])
    const waits: number[] = []
    let failures = 0
    const onEvent = (event: SyncEvent) => {
      if (event.type === 'waiting') waits.push(event.milliseconds)
      if (event.type === 'source-failed') failures++
    }
    const pulling = replica.puller.pull([hash], { onEvent, comeback: 700 })
    await assert.rejects(pulling, {
      code: 'ERR_DOWN',
      message: /large|cannot be had: origin: nobody is there/,
    })
    assert.deepEqual(waits, [500, 200])
    assert.equal(failures, 1, 'it is told once that it is away')
  })

  test('is waited for no longer than whoever wants it', async () => {
    const controller = new AbortController()
    await using replica = await Replica.open([{ source: vanishing() }])
    const onEvent = ({ type }: SyncEvent) => {
      if (type === 'waiting') controller.abort()
    }
    const pulling = replica.puller.pull([hash], { onEvent, comeback: 30_000, signal: controller.signal })
    await assert.rejects(pulling, { code: 'ERR_ABORTED' })
  })

  test('is not waited for when it never was there, or where nobody has said so', async () => {
    const down = new WatchedSource('down', join(folder, 'origin'))
    down.faults.unreachable = new GachixError('ERR_DOWN', 'nobody is there')
    const cases = [
      { source: down, options: { comeback: 30_000 }, code: 'ERR_DOWN' },
      { source: vanishing(), options: {}, code: 'ERR_CUT' },
    ]
    for (const { source, options, code } of cases) {
      await using replica = await Replica.open([{ source }])
      const events: string[] = []
      const onEvent = ({ type }: SyncEvent) => void events.push(type)
      await assert.rejects(replica.puller.pull([hash], { onEvent, ...options }), { code })
      assert.ok(!events.includes('waiting'))
    }
  })

  test('may be away as long again once a package has come', () => {
    const comebacks = new Comebacks(1000)
    const times = [0, 0, 0, 1, 1, 1].map((packages) => comebacks.next(packages))
    assert.deepEqual(times, [500, 500, undefined, 500, 500, undefined])
  })
})
