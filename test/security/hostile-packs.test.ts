/** Packs from elsewhere that are made to hurt: each is refused by its named error, and nothing of the repository changes. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { deflateSync } from 'node:zlib'
import { hashObject } from '../../src/git/oid.ts'
import { encodeEntryHeader, encodePackHeader } from '../../src/git/pack/format.ts'
import type { ReceiveLimits } from '../../src/store/api.ts'
import type { GitPackageStore } from '../../src/store/package-store.ts'
import { noise } from '../support/git-fixture.ts'
import { numbered } from '../support/merging-store.ts'
import { copyDelta, type Entry, ofsDelta, packOf, refDelta, varint, whole } from '../support/pack-maker.ts'
import { discard, quietStore, ROOMY, sent, snapshot, storeFor } from '../support/quarantine.ts'

const MEBIBYTE = 1024 * 1024

/** Bytes of all files below a folder. */
function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

let store: GitPackageStore
let untouched: Map<string, string>
let number = 0

before(async () => {
  store = await quietStore([numbered(1)])
  untouched = await snapshot(store)
})
after(() => discard(store))

/** Has the pack refused; gives what the quarantine keeps of it, in bytes. */
async function refused(
  pack: AsyncIterable<Uint8Array>,
  expected: { code: string; message: RegExp },
  limits: ReceiveLimits = ROOMY,
): Promise<number> {
  const root = join(store.ownDir, 'quarantine')
  const quarantine = await store.quarantine(`hostile ${number++}`)
  const folder = readdirSync(root).find((name) => name.startsWith(`hostile-${number - 1}-`))!
  await assert.rejects(quarantine.receive(pack, limits), expected)
  await quarantine.close()
  assert.deepEqual(await snapshot(store), untouched, 'the repository is as it was')
  return bytesBelow(join(root, folder))
}

function budget(pattern: RegExp): { code: string; message: RegExp } {
  return { code: 'ERR_BUDGET_EXCEEDED', message: pattern }
}

function invalid(pattern: RegExp): { code: string; message: RegExp } {
  return { code: 'ERR_PACK_INVALID', message: pattern }
}

/** A delta that makes `length` bytes by copying the same stretch of its base again and again. */
function bomb(baseSize: number, length: number): Buffer {
  const bytes = [...varint(baseSize), ...varint(length)]
  for (let left = length; left > 0; left -= Math.min(left, baseSize)) {
    const size = Math.min(left, baseSize)
    bytes.push(0xf0, size & 0xff, (size >> 8) & 0xff, size >> 16)
  }
  return Buffer.from(bytes)
}

describe('packs beyond their budget', () => {
  it('by their number of objects', async () => {
    await refused(sent(packOf([], 0xffffffff)), budget(/4294967295 objects .* 1000 /), {
      ...ROOMY,
      objects: 1000,
    })
  })

  it('by a declared size, before anything is allocated', async () => {
    const pack = packOf([whole('blob', Buffer.from('small'), 2 ** 50)])
    await refused(sent(pack), budget(/inflated bytes/), { ...ROOMY, inflatedBytes: 2 ** 40 })
  })

  it('by all sizes together', async () => {
    const blobs = Array.from({ length: 20 }, (_, i) => whole('blob', Buffer.alloc(100_000, i)))
    const kept = await refused(sent(packOf(blobs)), budget(/inflated bytes/), {
      ...ROOMY,
      inflatedBytes: 1_000_000,
    })
    assert.ok(kept < 100_000)
  })

  it('by what deltas make', async () => {
    const base = Buffer.alloc(65_536, 'base')
    const pack = packOf([whole('blob', base), ofsDelta(0, bomb(base.length, 64 * MEBIBYTE))])
    assert.ok(pack.length < 10_000, 'ten kilobytes that make 64 MiB')
    await refused(sent(pack), budget(/inflated bytes/), { ...ROOMY, inflatedBytes: 10 * MEBIBYTE })
  })

  it('by the sizes of deltas', async () => {
    const pack = packOf([
      whole('blob', Buffer.alloc(10)),
      () => Buffer.concat([encodeEntryHeader('ref-delta', 2 ** 40), randomBytes(20), deflateSync('')]),
    ])
    await refused(sent(pack), budget(/inflated bytes of deltas/))
  })

  it('by a huge base that a delta declares', async () => {
    const delta = Buffer.from([...varint(2 ** 45), ...varint(2 ** 45), 0x80])
    const pack = packOf([whole('blob', Buffer.alloc(10)), ofsDelta(0, delta)])
    await refused(sent(pack), budget(/inflated bytes/))
  })

  it('by never ending', async () => {
    let taken = 0
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.concat([
        encodePackHeader(1),
        encodeEntryHeader('blob', 2 ** 31),
        Buffer.from([0x78, 0x01]),
      ])
      // Empty stored blocks: no content, ever.
      for (const blocks = Buffer.alloc(5 * 10_000, Buffer.of(0, 0, 0, 0xff, 0xff)); ; taken += blocks.length)
        yield blocks
    }
    const kept = await refused(endless(), budget(/bytes are more than the 5000000/), {
      ...ROOMY,
      packBytes: 5_000_000,
    })
    assert.ok(taken < 6_000_000)
    assert.ok(kept < 10_000, `${kept} bytes are kept`)
  })

  it('by the disk space of their quarantine', async (t) => {
    const small = await storeFor(t, { quarantineBytes: 300_000 })
    const quarantine = await small.quarantine('full')
    const packs = [1, 2, 3].map((seed) => packOf([whole('blob', noise(200_000, seed))]))
    await quarantine.receive(sent(packs[0]!), ROOMY)
    await assert.rejects(quarantine.receive(sent(packs[1]!), ROOMY), budget(/bytes/))
    await quarantine.close()
    // What an earlier use has left makes room.
    const again = await small.quarantine('full')
    await again.receive(sent(packs[2]!), ROOMY)
    assert.ok(again.has(hashObject('blob', noise(200_000, 3))))
    assert.ok(!again.has(hashObject('blob', noise(200_000, 1))), 'the oldest goes first')
    await again.close()
    assert.ok(bytesBelow(join(small.ownDir, 'quarantine')) < 310_000)
  })
})

describe('packs that are not what they say', () => {
  const content = noise(300_000, 1)
  const cases: [string, Buffer, RegExp][] = [
    ['no pack', Buffer.from('this is something else, of some length'), /not a pack/],
    [
      'another version',
      Buffer.concat([Buffer.from('PACK\0\0\0\x07\0\0\0\0'), Buffer.alloc(20)]),
      /version 7/,
    ],
    ['an unknown type', packOf([() => Buffer.from([0x50, 0x78, 0x9c])]), /unknown type 5/],
    ['a wrong checksum', altered(packOf([whole('blob', content)]), -1), /checksum/],
    [
      'bytes after the end',
      Buffer.concat([packOf([whole('blob', content)]), Buffer.alloc(1)]),
      /follow its end/,
    ],
    ['fewer objects than counted', packOf([whole('blob', content)], 2), /./],
    [
      'more objects than counted',
      packOf([whole('blob', content), whole('blob', content)], 1),
      /follow its end/,
    ],
    ['a small object that is longer', packOf([whole('blob', Buffer.alloc(2000), 1000)]), /1000 bytes/],
    ['a small object that is shorter', packOf([whole('blob', Buffer.alloc(1000), 2000)]), /2000 bytes/],
    [
      'a large object that is longer',
      packOf([whole('blob', Buffer.alloc(50_000_000), 300_000)]),
      /300000 bytes/,
    ],
    ['a large object that is shorter', packOf([whole('blob', content, 300_001)]), /300001 bytes/],
    [
      'a small object that is damaged',
      altered(packOf([whole('blob', noise(1000, 1))]), 500),
      /inflate|bytes/,
    ],
    ['a large object that is damaged', altered(packOf([whole('blob', content)]), 200_000), /./],
    ['a delta without sizes', packOf([whole('blob', content), ofsDelta(0, Buffer.alloc(0))]), /no sizes/],
    ['a base that is nowhere', packOf([refDelta('1'.repeat(40), copyDelta(1000, 900))]), /no base/],
    ['a base between two entries', packOf([whole('blob', content), between()]), /no base/],
    [
      'a delta for another base',
      packOf([whole('blob', content), ofsDelta(0, copyDelta(1000, 900))]),
      /a base of 1000/,
    ],
    ['a chain that is too long', chain(4200), /longer than 4095/],
  ]
  for (const [name, pack, pattern] of cases) {
    it(name, async () => {
      await refused(sent(pack, 4000), invalid(pattern))
    })
  }

  it('deltas that build on one another', async () => {
    // Their ids would have to be known before they are made; two that name each other is as near as one can come.
    const [one, two] = ['3'.repeat(40), '4'.repeat(40)]
    const pack = packOf([refDelta(one, copyDelta(1000, 900)), refDelta(two, copyDelta(900, 1000))])
    await refused(sent(pack), invalid(/no base/))
  })
})

function altered(pack: Buffer, at: number): Buffer {
  const bytes = Buffer.from(pack)
  const index = at < 0 ? bytes.length + at : at
  bytes[index] = bytes[index]! ^ 0x55
  return bytes
}

/** A delta whose base offset lies within the first entry. */
function between(): Entry {
  return (at) => ofsDelta(0, copyDelta(300_000, 900))(at, [20])
}

/** A blob and so many deltas, each on the one before. */
function chain(length: number): Buffer {
  const entries: Entry[] = [whole('blob', Buffer.alloc(100, 'x'))]
  for (let i = 0; i < length; i++) {
    const text = Buffer.from(String(i).padStart(6, '0'))
    entries.push(ofsDelta(i, Buffer.from([...varint(i === 0 ? 100 : 6), 6, 6, ...text])))
  }
  return packOf(entries)
}
