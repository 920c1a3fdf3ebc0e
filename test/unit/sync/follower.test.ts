import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { PathInfo } from '../../../src/nix/path-info.ts'
import { FOLLOW_LONGEST_RETRY, FOLLOW_RETRY, MAX_POSTPONED } from '../../../src/sync/limits.ts'
import { Follower } from '../../../src/sync/policy/follower.ts'
import { Postponed } from '../../../src/sync/policy/postponed.ts'
import { silentLogger } from '../../../src/util/log.ts'
import { sampleClosure } from '../../support/packages.ts'
import { until } from '../../support/process.ts'
import { publishTo, Replica, WatchedSource } from '../../support/replica.ts'

const CLOSURE = sampleClosure()
const HASHES = CLOSURE.map(({ info }) => info.storePath.hash)

describe('what peers announce', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-follower-'))
    await publishTo(join(folder, 'origin'), CLOSURE)
    await publishTo(join(folder, 'other'), [])
  })
  after(() => rm(folder, { recursive: true, force: true }))

  for (const [what, wanted] of [
    ['everything', undefined],
    ['by name', (info: PathInfo) => info.storePath.name !== ''],
  ] as const) {
    test(`is pulled, ${what}, once the peer is back that was gone when it was to be asked`, async () => {
      const peers = ['other', 'origin'].map((name) => ({
        kind: 'peer' as const,
        source: new WatchedSource(name, join(folder, name)),
      }))
      await using replica = await Replica.open(peers)
      let connected = false
      const follower = new Follower({
        ...{ store: replica.store, puller: replica.puller, logger: silentLogger },
        links: () =>
          replica.links.filter(
            ({ source: { name } }) => connected || (name === 'other' && wanted === undefined),
          ),
        ...(wanted && { wanted }),
      })
      follower.news(HASHES)
      await new Promise((resolve) => setTimeout(resolve, 1000))
      assert.equal(replica.store.size, 0)
      connected = true
      await until(
        () => `${replica.store.size} of ${HASHES.length} packages`,
        async () => (HASHES.every((hash) => replica.store.hasClosure(hash)) ? true : undefined),
      )
      await follower.stop()
    })
  }
})

describe('packages that are put off', () => {
  test('are tried when there are other peers, and after growing waits', () => {
    const postponed = new Postponed()
    assert.deepEqual(postponed.take(['a', 'b'], 0), [])
    assert.equal(postponed.add('x', 0), true)
    assert.deepEqual(postponed.take(['b', 'a'], FOLLOW_RETRY - 1), [], 'the same peers')
    assert.deepEqual(postponed.take(['a', 'b'], FOLLOW_RETRY), ['x'])
    assert.equal(postponed.add('x', FOLLOW_RETRY), false)
    assert.deepEqual(postponed.take(['a', 'b'], 2 * FOLLOW_RETRY), [], 'twice the wait')
    assert.deepEqual(postponed.take(['a'], 2 * FOLLOW_RETRY), ['x'], 'one is gone')
    assert.deepEqual(postponed.take(['a', 'b'], 2 * FOLLOW_RETRY), ['x'], 'it is back')
    for (let times = 0; times < 20; times++) postponed.add('x', 0)
    assert.deepEqual(postponed.take(['a', 'b'], FOLLOW_LONGEST_RETRY), ['x'])
    postponed.delete('x')
    assert.equal(postponed.size, 0)
    assert.deepEqual(postponed.take([], FOLLOW_LONGEST_RETRY), [])
  })

  test('are bounded in number', () => {
    const postponed = new Postponed()
    for (let number = 0; number <= MAX_POSTPONED; number++) postponed.add(`${number}`, 0)
    assert.equal(postponed.size, MAX_POSTPONED)
    assert.equal(postponed.take(['a'], 0).includes('0'), false, 'the one that waited longest')
  })
})
