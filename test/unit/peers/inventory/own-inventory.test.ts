import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { HASH_BYTES } from '../../../../protocol/index.ts'
import { nix32Encode } from '../../../../src/nix/base32.ts'
import { packHashes } from '../../../../src/peers/hashes.ts'
import { InventoryLogFile } from '../../../../src/peers/inventory/log-file.ts'
import { OwnInventory } from '../../../../src/peers/inventory/own-inventory.ts'
import { SharePolicy, type ShareSetting } from '../../../../src/peers/inventory/share-policy.ts'
import { hashOf, hexItems } from '../../../support/hashes.ts'

let folder: string
let store: Map<string, string>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-inventory-'))
  store = new Map()
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const path = (): string => join(folder, 'inventory')
const publishedAs = (number: number, name = `hello-${number}`) => {
  const hash = nix32Encode(hashOf(number))
  store.set(hash, name)
  return { hash, name }
}
const open = (share: ShareSetting = 'all', now = 1000): Promise<OwnInventory> =>
  OwnInventory.open(
    {
      feed: {
        hashes: () => [packHashes([...store.keys()])],
        name: (hash) => Promise.resolve(store.get(hash)),
      },
      policy: new SharePolicy(share),
      journal: new InventoryLogFile(path()),
    },
    now,
  )
const listed = ({ log }: OwnInventory): string[] => hexItems(log.hashes(), HASH_BYTES)
const expected = (...numbers: number[]): string[] =>
  numbers.map((number) => hashOf(number).toString('hex')).sort()

describe('own inventory in a file', () => {
  it('goes on with its numbers after a restart, and finds what the store has since', async () => {
    publishedAs(1)
    const first = await open()
    assert.deepEqual([first.log.epoch, first.log.seq, listed(first)], [1000, 1, expected(1)])
    await first.published([publishedAs(2), publishedAs(3)])
    store.delete(nix32Encode(hashOf(2)))
    await first.removed([nix32Encode(hashOf(2))])
    assert.equal(first.log.seq, 4)
    await first.close()
    publishedAs(4)
    store.delete(nix32Encode(hashOf(3)))
    const second = await open('all', 2000)
    assert.deepEqual([second.log.epoch, second.log.seq, listed(second)], [1000, 6, expected(1, 4)])
    await second.close()
    const third = await open('all', 3000)
    assert.deepEqual(third.log.state(), second.log.state())
    await third.close()
  })

  it('gives out a number once: a batch that was cut off was told to nobody', async () => {
    const first = await open()
    await first.published([publishedAs(1)])
    const whole = (await readFile(path())).length
    await first.published([publishedAs(2), publishedAs(3)])
    await first.close()
    for (const length of [whole, whole + 1, whole + 20, whole + 49]) {
      await truncate(path(), length)
      const again = await open()
      assert.deepEqual([again.log.epoch, again.log.seq], [1000, 3], 'found in the store again')
      await again.close()
    }
  })

  it('begins a new epoch when the file is damaged, gone, or of another policy', async () => {
    publishedAs(1)
    publishedAs(2, 'secret-2')
    const first = await open(['*'])
    await first.close()
    const other = await open(['*', '!secret-*'], 2000)
    assert.deepEqual([other.log.epoch, listed(other)], [2000, expected(1)])
    await other.close()
    assert.ok(
      !(await readFile(path())).includes(hashOf(2)),
      'what is private now is not in the file any more',
    )
    const bytes = await readFile(path())
    bytes[30]! ^= 1
    await writeFile(path(), bytes)
    const third = await open(['*', '!secret-*'], 3000)
    assert.equal(third.log.epoch, 3000)
    await third.close()
    await rm(path())
    const fourth = await open(['*', '!secret-*'], 4000)
    assert.equal(fourth.log.epoch, 4000)
    await fourth.close()
  })

  it('counts epochs up where the clock does not', async () => {
    const first = await open('all', 5000)
    await first.renew(9000)
    assert.equal(first.log.epoch, 9000)
    await first.renew(100)
    assert.equal(first.log.epoch, 9000)
    await first.close()
    const second = await open('off', 1)
    assert.equal(second.log.epoch, 9001)
    await second.close()
  })

  it('takes changes at once one after the other, and filters them', async () => {
    const inventory = await open(['hello-*'])
    const many = Array.from({ length: 50 }, (_, number) =>
      inventory.published([publishedAs(number), publishedAs(100 + number, `secret-${number}`)]),
    )
    await Promise.all(many)
    assert.deepEqual(listed(inventory), expected(...Array.from({ length: 50 }, (_, number) => number)))
    assert.ok(inventory.shares(nix32Encode(hashOf(7))) && !inventory.shares(nix32Encode(hashOf(107))))
    await inventory.removed([nix32Encode(hashOf(107))])
    assert.equal(inventory.log.seq, 50, 'a private package is not told when it goes')
    await inventory.close()
    const again = await open(['hello-*'])
    assert.deepEqual(listed(again), listed(inventory))
    await again.close()
  })

  it('tells nothing that it could not make durable', async () => {
    const inventory = await open()
    await inventory.close()
    await assert.rejects(inventory.published([publishedAs(1)]), { code: 'ERR_INVENTORY_LOG' })
    assert.equal(inventory.log.seq, 0)
  })
})

describe('share policy', () => {
  const cases: [ShareSetting, string[], string[]][] = [
    ['all', ['a', ''], []],
    ['off', [], ['a', '']],
    [[], [], ['a']],
    [
      ['hello-*', 'x?z'],
      ['hello-1', 'xyz'],
      ['othello-1', 'hello', 'xz', 'xyyz'],
    ],
    [['!secret-*'], ['a'], ['secret-1']],
    [['*', '!*-secret'], ['a'], ['a-secret']],
    [
      ['a.b+c', '(d)'],
      ['a.b+c', '(d)'],
      ['axbc', 'd'],
    ],
  ]
  for (const [setting, yes, no] of cases) {
    it(JSON.stringify(setting), () => {
      const policy = new SharePolicy(setting)
      for (const name of yes) assert.ok(policy.shares(name), name)
      for (const name of no) assert.ok(!policy.shares(name), name)
    })
  }

  it('is quick whatever the pattern', () => {
    const policy = new SharePolicy([`${'*a'.repeat(20)}b`])
    const start = performance.now()
    assert.ok(!policy.shares('a'.repeat(211)))
    assert.ok(performance.now() - start < 1000)
  })
})
