import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { intoShares, type MissingContents } from '../../../src/sync/repository/shares.ts'

const MEBIBYTE = 1024 * 1024

/** Packages of some numbers of blobs; every blob has a name of its own. */
function packagesOf(sizes: readonly (readonly [blobs: number, narSize: number])[]): MissingContents[] {
  return sizes.map(([count, narSize], number) => ({
    narSize,
    blobs: Array.from({ length: count }, (_, i) => `${number}/${i}`),
  }))
}

const packages = fc
  .array(fc.tuple(fc.oneof(fc.nat(40), fc.nat(20_000)), fc.constantFrom(1, 64 * MEBIBYTE, 65 * MEBIBYTE)), {
    maxLength: 24,
  })
  .map(packagesOf)

describe('sharing out what is missing', () => {
  it('asks for every blob once, in order, and for no more at once than a peer takes', () => {
    fc.assert(
      fc.property(packages, fc.integer({ min: 1, max: 5 }), (missing, givers) => {
        const shares = intoShares(missing, givers)
        assert.deepEqual(
          shares.flat(),
          missing.flatMap(({ blobs }) => blobs),
        )
        assert.ok(shares.every(({ length }) => length > 0 && length <= 8192))
      }),
    )
  })

  it('leaves packages whole that are not large, when all have something to do', () => {
    fc.assert(
      fc.property(packages, fc.integer({ min: 1, max: 5 }), (missing, givers) => {
        const shares = intoShares(missing, givers)
        const total = shares.flat().length
        fc.pre(givers === 1 || missing.every(({ blobs }) => blobs.length <= total / (2 * givers)))
        for (const { narSize, blobs } of missing) {
          if (blobs.length > 8192 || narSize > 64 * MEBIBYTE) continue
          assert.ok(shares.filter((share) => blobs.some((oid) => share.includes(oid))).length <= 1)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('gives each of several givers something to do', () => {
    const many = packagesOf(Array.from({ length: 30 }, () => [20, MEBIBYTE]))
    assert.equal(intoShares(many, 1).length, 1)
    assert.ok(intoShares(many, 3).length >= 9)
    assert.ok(intoShares(packagesOf([[3000, 100 * MEBIBYTE]]), 3).length >= 12)
    assert.ok(intoShares(packagesOf([[300, 1000]]), 3).length >= 12)
    // One works, and others may take over what it has not begun.
    assert.ok(intoShares(many, 1, 3).length >= 4)
    assert.ok(intoShares(packagesOf([[3000, 100 * MEBIBYTE]]), 1, 3).length >= 4)
  })
})
