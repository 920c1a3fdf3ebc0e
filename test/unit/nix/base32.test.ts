import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { NIX32_ALPHABET, nix32Decode, nix32Encode } from '../../../src/nix/base32.ts'
import { nixVectors } from '../../support/nix-vectors.ts'

const vectors = nixVectors<{
  valid: { hex: string; nix32: string }[]
  invalid: { nix32: string; why: string }[]
}>('base32')

describe('nix32', () => {
  it('encodes and decodes the golden cases', () => {
    for (const { hex, nix32 } of vectors.valid) {
      assert.equal(nix32Encode(Buffer.from(hex, 'hex')), nix32)
      assert.equal(nix32Decode(nix32).toString('hex'), hex)
    }
  })

  it('refuses the invalid golden cases', () => {
    for (const { nix32, why } of vectors.invalid) {
      assert.throws(() => nix32Decode(nix32), { code: 'ERR_NIX32_INVALID' }, why)
    }
  })

  it('gives back any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        assert.deepEqual(nix32Decode(nix32Encode(bytes)), Buffer.from(bytes))
      }),
    )
  })

  it('has one text only for any bytes', () => {
    const text = fc.string({ unit: fc.constantFrom(...NIX32_ALPHABET), maxLength: 60 })
    fc.assert(
      fc.property(text, (nix32) => {
        let bytes: Buffer
        try {
          bytes = nix32Decode(nix32)
        } catch {
          return
        }
        assert.equal(nix32Encode(bytes), nix32)
      }),
    )
  })
})
