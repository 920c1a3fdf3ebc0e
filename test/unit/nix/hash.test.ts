import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import {
  DIGEST_SIZES,
  formatHash,
  type HashAlgorithm,
  type HashForm,
  hashEquals,
  type NixHash,
  parseHash,
} from '../../../src/nix/hash.ts'
import { nixVectors } from '../../support/nix-vectors.ts'

const vectors = nixVectors<{
  valid: (Record<HashForm, string> & { algorithm: HashAlgorithm; message: string })[]
  invalid: { text: string; algorithm?: HashAlgorithm; why: string }[]
}>('hash')

const FORMS: readonly HashForm[] = ['nix32', 'base16', 'base64', 'sri']

describe('hashes', () => {
  it('reads and writes every form of the golden cases', () => {
    for (const golden of vectors.valid) {
      const digest = createHash(golden.algorithm).update(golden.message).digest()
      const hash: NixHash = { algorithm: golden.algorithm, digest }
      for (const form of FORMS) {
        assert.equal(formatHash(hash, form), golden[form])
        assert.deepEqual(parseHash(golden[form]), hash)
        assert.deepEqual(parseHash(golden[form], golden.algorithm), hash)
        if (form !== 'sri') assert.deepEqual(parseHash(golden[form].split(':')[1]!, golden.algorithm), hash)
      }
      assert.deepEqual(parseHash(`${golden.algorithm}:${digest.toString('hex').toUpperCase()}`), hash)
    }
  })

  it('refuses the invalid golden cases', () => {
    for (const { text, algorithm, why } of vectors.invalid) {
      assert.throws(() => parseHash(text, algorithm), { code: 'ERR_HASH_INVALID' }, why)
    }
  })

  it('gives back any digest in any form', () => {
    const hashes = fc
      .constantFrom<HashAlgorithm>('md5', 'sha1', 'sha256', 'sha512')
      .chain((algorithm) =>
        fc
          .uint8Array({ minLength: DIGEST_SIZES[algorithm], maxLength: DIGEST_SIZES[algorithm] })
          .map((digest) => ({ algorithm, digest })),
      )
    fc.assert(
      fc.property(hashes, fc.constantFrom(...FORMS), (hash, form) => {
        assert.ok(hashEquals(parseHash(formatHash(hash, form)), hash))
      }),
    )
  })

  it('compares algorithm and digest', () => {
    const hash: NixHash = { algorithm: 'sha256', digest: new Uint8Array(32) }
    assert.ok(hashEquals(hash, { algorithm: 'sha256', digest: Buffer.alloc(32) }))
    assert.ok(!hashEquals(hash, { algorithm: 'sha256', digest: Buffer.alloc(32, 1) }))
    assert.ok(!hashEquals(hash, { algorithm: 'sha512', digest: new Uint8Array(32) }))
  })
})
