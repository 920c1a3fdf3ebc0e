import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as noble from '@noble/ed25519'
import * as fc from 'fast-check'
import {
  isPublicKey,
  publicKeyOf,
  randomSeed,
  signMessage,
  verifyingKey,
  verifyMessage,
} from '../../../src/nix/ed25519.ts'
import { nixVectors } from '../../support/nix-vectors.ts'

const { cases } = nixVectors<{
  cases: {
    name: string
    publicKey: string
    message: string
    signature: string
    trustedKey: boolean
    good: boolean
  }[]
}>('ed25519')

const reference = (message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean =>
  noble.verify(signature, message, publicKey, { zip215: false })

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })

describe('Ed25519', () => {
  it('holds to the golden cases, odd ones too', () => {
    for (const golden of cases) {
      const [key, message, signature] = [golden.publicKey, golden.message, golden.signature].map((hex) =>
        Buffer.from(hex, 'hex'),
      ) as [Buffer, Buffer, Buffer]
      assert.equal(isPublicKey(key), golden.trustedKey, golden.name)
      const good = isPublicKey(key) && verifyMessage(message, signature, verifyingKey(key))
      assert.equal(good, golden.good, golden.name)
      if (good) assert.ok(reference(message, signature, key), `${golden.name}: the reference is stricter`)
    }
  })

  it('verifies through node:crypto as noble does', () => {
    fc.assert(
      fc.property(bytes(32), fc.uint8Array({ maxLength: 200 }), (seed, message) => {
        const key = publicKeyOf(seed)
        const signature = signMessage(message, seed)
        assert.ok(verifyMessage(message, signature, verifyingKey(key)))
        assert.ok(reference(message, signature, key))
      }),
      { numRuns: 25 },
    )
  })

  it('agrees with noble on damaged signatures, messages and keys', () => {
    const damage = fc.record({
      what: fc.constantFrom('signature', 'message', 'key'),
      at: fc.nat(),
      mask: fc.integer({ min: 1, max: 255 }),
    })
    fc.assert(
      fc.property(
        bytes(32),
        fc.uint8Array({ minLength: 1, maxLength: 60 }),
        damage,
        (seed, message, { what, at, mask }) => {
          const parts = {
            signature: signMessage(message, seed),
            message: Buffer.from(message),
            key: publicKeyOf(seed),
          }
          const damaged = parts[what as keyof typeof parts]
          damaged[at % damaged.length]! ^= mask
          const ours =
            isPublicKey(parts.key) && verifyMessage(parts.message, parts.signature, verifyingKey(parts.key))
          assert.equal(ours, reference(parts.message, parts.signature, parts.key))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('refuses R of small order whatever the rest is', () => {
    const seed = randomSeed()
    const key = verifyingKey(publicKeyOf(seed))
    const smallOrder = cases.filter(({ name }) => name.startsWith('key of small order'))
    assert.equal(smallOrder.length, 8)
    for (const { publicKey } of smallOrder) {
      const signature = Buffer.concat([Buffer.from(publicKey, 'hex'), Buffer.alloc(32)])
      assert.ok(!verifyMessage(Buffer.from('x'), signature, key))
    }
  })

  it('refuses other lengths', () => {
    const seed = randomSeed()
    const message = Buffer.from('message')
    const key = publicKeyOf(seed)
    const signature = signMessage(message, seed)
    assert.ok(!verifyMessage(message, signature.subarray(1), verifyingKey(key)))
    assert.ok(!verifyMessage(message, Buffer.concat([signature, signature]), verifyingKey(key)))
    assert.ok(!isPublicKey(key.subarray(1)))
    assert.ok(!isPublicKey(Buffer.concat([key, key])))
  })

  it('makes new seeds each time', () => {
    assert.notDeepEqual(randomSeed(), randomSeed())
  })
})
