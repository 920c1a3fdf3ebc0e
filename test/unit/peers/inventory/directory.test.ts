import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  Directory,
  DOUBTFUL,
  FAULT_HALF_LIFE,
  HINT_LIFETIME,
  MISS_LIFETIME,
} from '../../../../src/peers/inventory/directory.ts'
import { ExpiringMap } from '../../../../src/peers/inventory/expiring-map.ts'
import { FollowedSet } from '../../../../src/peers/inventory/followed-set.ts'
import { hashOf } from '../../../support/hashes.ts'

function following(...numbers: number[]): { set: FollowedSet } {
  const set = new FollowedSet()
  for (const number of numbers) set.add(hashOf(number))
  return { set }
}

describe('directory', () => {
  it('names who has a package by what is followed, connected peers first', () => {
    const directory = new Directory()
    directory.follow('a', following(1, 2), 0)
    directory.follow('b', following(2, 3), 0)
    assert.deepEqual(directory.providers(hashOf(2), 0), ['a', 'b'])
    directory.connected('b', true, 1)
    assert.deepEqual(directory.providers(hashOf(2), 1), ['b', 'a'])
    assert.deepEqual(directory.providers(hashOf(4), 1), [])
    directory.forget('b')
    assert.deepEqual(directory.providers(hashOf(3), 1), [])
    assert.deepEqual([directory.count('a'), directory.count('b')], [2, undefined])
  })

  it('prefers what peers answered to what is followed, for a while', () => {
    const directory = new Directory()
    directory.follow('a', following(1), 0)
    directory.connected('b', true, 0)
    directory.told('a', hashOf(1), false, 0)
    directory.told('b', hashOf(1), true, 0)
    assert.deepEqual(directory.providers(hashOf(1), 1), ['b'])
    assert.deepEqual(directory.providers(hashOf(1), HINT_LIFETIME + 1), ['a'])
  })

  it('remembers for a while that nobody has a package, until an inventory names it', () => {
    const directory = new Directory()
    const followed = following()
    directory.follow('a', followed, 0)
    assert.ok(!directory.missing(hashOf(1), 0))
    directory.missed(hashOf(1), 0)
    assert.ok(directory.missing(hashOf(1), MISS_LIFETIME - 1))
    assert.ok(!directory.missing(hashOf(1), MISS_LIFETIME))
    directory.missed(hashOf(1), 0)
    followed.set.add(hashOf(1))
    assert.ok(!directory.missing(hashOf(1), 1))
  })

  it('asks who did not deliver after the others, and forgives in time', () => {
    const directory = new Directory()
    directory.follow('liar', following(1, 2), 0)
    directory.follow('honest', following(1, 2), 0)
    directory.connected('liar', true, 0)
    directory.failed('liar', hashOf(1), 0)
    assert.deepEqual(directory.providers(hashOf(1), 0), ['honest'], 'not for this package')
    assert.deepEqual(directory.providers(hashOf(2), 0), ['liar', 'honest'])
    directory.failed('liar', hashOf(3), 0, DOUBTFUL)
    assert.deepEqual(directory.providers(hashOf(2), 0), ['honest', 'liar'], 'doubtful as it is connected')
    directory.connected('liar', false, 0)
    directory.connected('liar', true, 0)
    assert.ok(directory.faults('liar', 0) >= DOUBTFUL, 'a new connection changes nothing')
    assert.equal(directory.faults('liar', FAULT_HALF_LIFE), directory.faults('liar', 0) / 2)
    assert.deepEqual(directory.providers(hashOf(2), 3 * FAULT_HALF_LIFE), ['liar', 'honest'])
    directory.delivered('liar', 3 * FAULT_HALF_LIFE)
    assert.ok(directory.faults('liar', 3 * FAULT_HALF_LIFE) < 0.5)
  })
})

it('an expiring map is bounded, and its oldest entries go first', () => {
  const map = new ExpiringMap<number, string>(3, 100)
  for (let key = 0; key < 5; key++) map.set(key, 'value', key)
  assert.equal(map.size, 3)
  assert.deepEqual(
    [0, 1, 2, 3, 4].filter((key) => map.get(key, 5) !== undefined),
    [2, 3, 4],
  )
  map.set(2, 'again', 6)
  map.set(9, 'new', 7)
  assert.deepEqual(
    [2, 3, 4, 9].map((key) => map.get(key, 8)),
    ['again', undefined, 'value', 'new'],
  )
  assert.equal(map.get(4, 104), undefined)
  map.set(10, 'later', 500)
  assert.equal(map.size, 1)
})
