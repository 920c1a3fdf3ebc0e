/** NARs that are hashed as their blobs come: right, or not at all. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hashObject } from '../../../../src/git/oid.ts'
import { ExpectedNars } from '../../../../src/store/quarantine/receiving/expected-nars.ts'
import type { HashedNar } from '../../../../src/store/quarantine/receiving/messages.ts'
import { noise } from '../../../support/git-fixture.ts'

/** Contents that the NARs of a test are made of; few, so that some are needed twice. */
const CONTENTS = [0, 1, 7, 8, 500, 20_000, 200_000, 4_200_000].map((length, seed) => noise(length, seed))
const OIDS = CONTENTS.map((content) => hashObject('blob', content))

interface Made {
  /** Which contents, in the order of the NAR. */
  readonly blobs: readonly number[]
  readonly pieces: readonly Buffer[]
}

const nars: fc.Arbitrary<Made[]> = fc.array(
  fc
    .array(fc.nat(CONTENTS.length - 1), { minLength: 1, maxLength: 6 })
    .chain((blobs) =>
      fc
        .array(fc.uint8Array({ maxLength: 40 }), { minLength: blobs.length + 1, maxLength: blobs.length + 1 })
        .map((pieces) => ({ blobs, pieces: pieces.map((piece) => Buffer.from(piece)) })),
    ),
  { minLength: 1, maxLength: 4 },
)

function narOf({ blobs, pieces }: Made): Buffer {
  const parts = blobs.flatMap((blob, i) => {
    const content = CONTENTS[blob]!
    const size = Buffer.alloc(8)
    size.writeBigUInt64LE(BigInt(content.length))
    return [pieces[i]!, size, content, Buffer.alloc((8 - (content.length % 8)) % 8)]
  })
  return Buffer.concat([...parts, pieces.at(-1)!])
}

/** Has the NARs expected; `known` are the contents that are there already. */
function expectAll(expected: ExpectedNars, all: readonly Made[], known: ReadonlySet<number>): void {
  const uses = all.flatMap(({ blobs }) => blobs)
  for (const [id, { blobs, pieces }] of all.entries()) {
    const framing = pieces.map((piece, i) =>
      i < blobs.length ? Buffer.concat([piece, Buffer.alloc(8)]) : piece,
    )
    let end = 0
    expected.expect(id, {
      framing: Buffer.concat(framing),
      ends: Uint32Array.from(framing, (piece) => (end += piece.length)),
      oids: Buffer.from(blobs.map((blob) => OIDS[blob]).join(''), 'hex'),
      // Its memory is given back afterwards.
      known: new Map(
        blobs.flatMap((blob, i) => (known.has(blob) ? [[i, Uint8Array.from(CONTENTS[blob]!)]] : [])),
      ),
      shared: new Set(blobs.flatMap((blob, i) => (uses.indexOf(blob) !== uses.lastIndexOf(blob) ? [i] : []))),
    })
  }
}

/** Has contents come, one after the other. */
function come(expected: ExpectedNars, order: readonly number[], said: readonly number[]): void {
  const observer = expected.observer(said.map((blob) => OIDS[blob]!))
  for (const blob of order) {
    const content = CONTENTS[blob]!
    if (content.length < 100_000) {
      observer.blob(OIDS[blob]!, content)
      continue
    }
    observer.begin(content.length)
    for (let at = 0; at < content.length; at += 65_536) observer.content(content.subarray(at, at + 65_536))
    observer.end(OIDS[blob]!)
  }
}

function check(all: readonly Made[], hashed: ReadonlyMap<number, HashedNar>): void {
  for (const [id, { size, sha256 }] of hashed) {
    const nar = narOf(all[id]!)
    assert.equal(size, nar.length)
    assert.deepEqual(Buffer.from(sha256), createHash('sha256').update(nar).digest())
  }
}

/** What is to come: every content that is not there, when it is first needed. */
function wanted(all: readonly Made[], known: ReadonlySet<number>): number[] {
  return [...new Set(all.flatMap(({ blobs }) => blobs))].filter((blob) => !known.has(blob))
}

const some = fc.uniqueArray(fc.nat(CONTENTS.length - 1), { maxLength: 3 })

describe('hashing NARs as their blobs come', () => {
  it('gives every NAR whose blobs come in its order, unless a large one is needed again', () => {
    fc.assert(
      fc.property(nars, some, (all, there) => {
        const known = new Set(there)
        const hashed = new Map<number, HashedNar>()
        const expected = new ExpectedNars((id, nar) => hashed.set(id, nar))
        expectAll(expected, all, known)
        const order = wanted(all, known)
        come(expected, order, order)
        check(all, hashed)
        const uses = all.flatMap(({ blobs }) => blobs)
        const easy = all.flatMap(({ blobs }, id) =>
          blobs.every(
            (blob) =>
              known.has(blob) ||
              CONTENTS[blob]!.length <= 4 * 1024 * 1024 ||
              uses.indexOf(blob) === uses.lastIndexOf(blob),
          )
            ? [id]
            : [],
        )
        for (const id of easy) {
          // One that waited for another's large blob holds up nobody else.
          assert.ok(hashed.has(id), `NAR ${id} of ${JSON.stringify(all.map(({ blobs }) => blobs))}`)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('gives no wrong one, whatever comes in whatever order', () => {
    fc.assert(
      fc.property(
        nars,
        some,
        fc.array(fc.nat(CONTENTS.length - 1), { maxLength: 12 }),
        fc.array(fc.nat(CONTENTS.length - 1), { maxLength: 12 }),
        (all, there, order, said) => {
          const hashed = new Map<number, HashedNar>()
          const expected = new ExpectedNars((id, nar) => hashed.set(id, nar))
          expectAll(expected, all, new Set(there))
          come(expected, order, said)
          check(all, hashed)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('takes a large blob for nothing that did not come whole, or turned out to be another', () => {
    const made = { blobs: [7], pieces: [Buffer.from('before'), Buffer.from('after')] }
    const hashed = new Map<number, HashedNar>()
    const expected = new ExpectedNars((id, nar) => hashed.set(id, nar))
    expectAll(expected, [made], new Set())
    const observer = expected.observer([OIDS[7]!, OIDS[7]!, OIDS[7]!])
    observer.begin(CONTENTS[7]!.length)
    observer.content(CONTENTS[7]!.subarray(0, 1000))
    observer.begin(CONTENTS[6]!.length)
    observer.content(CONTENTS[6]!)
    observer.end(OIDS[6]!)
    assert.equal(hashed.size, 0)
    observer.begin(CONTENTS[7]!.length)
    observer.content(CONTENTS[7]!)
    observer.end(OIDS[7]!)
    assert.equal(hashed.size, 1)
    check([made], hashed)
  })

  it('takes a large blob once that two packs have at the same time', () => {
    const made = { blobs: [7, 6], pieces: ['before', 'between', 'after'].map((text) => Buffer.from(text)) }
    const told: number[] = []
    const hashed = new Map<number, HashedNar>()
    const expected = new ExpectedNars((id, nar) => {
      told.push(id)
      hashed.set(id, nar)
    })
    expectAll(expected, [made], new Set())
    const packs = [expected.observer([OIDS[7]!]), expected.observer([OIDS[7]!])]
    for (const observer of packs) observer.begin(CONTENTS[7]!.length)
    for (const observer of packs) observer.content(CONTENTS[7]!)
    for (const observer of packs) observer.end(OIDS[7]!)
    come(expected, [6], [6])
    assert.deepEqual(told, [0])
    check([made], hashed)
  })

  it('does not go on with a NAR that nobody wants any more since a large blob began', () => {
    const made = { blobs: [7], pieces: [Buffer.from('before'), Buffer.from('after')] }
    const told: number[] = []
    const expected = new ExpectedNars((id) => told.push(id))
    expectAll(expected, [made], new Set())
    const observer = expected.observer([OIDS[7]!])
    observer.begin(CONTENTS[7]!.length)
    expected.forget(0)
    observer.content(CONTENTS[7]!)
    observer.end(OIDS[7]!)
    assert.deepEqual(told, [])
  })
})
