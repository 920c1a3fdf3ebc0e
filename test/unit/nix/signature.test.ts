import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { parseHash } from '../../../src/nix/hash.ts'
import type { PathInfo } from '../../../src/nix/path-info.ts'
import {
  fingerprint,
  PublicKey,
  parseSignature,
  SecretKey,
  sign,
  verify,
} from '../../../src/nix/signature.ts'
import { StorePath } from '../../../src/nix/store-path.ts'
import { nixVectors } from '../../support/nix-vectors.ts'

interface Golden {
  storePath: string
  narHash: string
  narSize: number
  references: string[]
  fingerprint: string
  signature: string
}

const vectors = nixVectors<{
  secretKey: string
  publicKey: string
  valid: Golden[]
  invalidSignatures: { text: string; why: string }[]
  invalidPublicKeys: { text: string; why: string }[]
  invalidSecretKeys: { text: string; why: string }[]
}>('signature')

function infoOf(golden: Golden): PathInfo {
  return {
    storePath: StorePath.parse(golden.storePath),
    narHash: parseHash(golden.narHash),
    narSize: golden.narSize,
    references: golden.references.map((reference) => StorePath.fromBaseName(reference)),
    signatures: [golden.signature],
  }
}

const secret = SecretKey.parse(vectors.secretKey)
const trusted = PublicKey.parse(vectors.publicKey)
const info = infoOf(vectors.valid[0]!)

describe('signatures', () => {
  it('are what Nix makes of the same key and path', () => {
    for (const golden of vectors.valid) {
      const one = infoOf(golden)
      assert.equal(fingerprint(one), golden.fingerprint)
      assert.equal(fingerprint({ ...one, references: [...one.references].reverse() }), golden.fingerprint)
      assert.equal(sign(secret, one), golden.signature)
      assert.deepEqual(verify([trusted], one), ['test.gachix-1'])
    }
  })

  it('cover path, hash, size and references, and nothing else', () => {
    const other = infoOf(vectors.valid[1]!)
    for (const changed of [
      { storePath: other.storePath },
      { storePath: new StorePath(info.storePath.hash, info.storePath.name, '/srv/store') },
      { narHash: other.narHash },
      { narSize: info.narSize + 1 },
      { references: [...info.references, other.storePath] },
    ]) {
      assert.deepEqual(verify([trusted], { ...info, ...changed }), [])
    }
    assert.deepEqual(verify([trusted], { ...info, ca: 'fixed:x', deriver: other.storePath }), [
      'test.gachix-1',
    ])
  })

  it('are found among others', () => {
    const second = SecretKey.generate('second-1')
    const foreign = SecretKey.generate('foreign-1')
    const impostor = SecretKey.generate('test.gachix-1')
    const signatures = [
      '',
      'nonsense',
      'a:b',
      sign(foreign, info),
      sign(impostor, info),
      sign(second, info),
      ...info.signatures,
    ]
    const many = { ...info, signatures: [...signatures, ...signatures] }
    assert.deepEqual(verify([second.publicKey, trusted], many), ['second-1', 'test.gachix-1'])
    assert.deepEqual(verify([impostor.publicKey, trusted], many), ['test.gachix-1'])
    assert.deepEqual(verify([trusted], { ...info, signatures: signatures.slice(0, -1) }), [])
    assert.deepEqual(verify([], many), [])
    assert.deepEqual(verify([SecretKey.generate('x').publicKey], many), [])
  })

  it('count only under the name of the key', () => {
    const renamed = new PublicKey('test.gachix-2', trusted.bytes)
    assert.deepEqual(verify([renamed], info), [])
  })

  it('are taken apart', () => {
    const { keyName, signature } = parseSignature(info.signatures[0]!)
    assert.equal(keyName, 'test.gachix-1')
    assert.equal(signature.length, 64)
    for (const { text, why } of vectors.invalidSignatures) {
      assert.throws(() => parseSignature(text), { code: 'ERR_SIGNATURE_INVALID' }, why)
    }
  })
})

describe('keys', () => {
  it('are read and written in the form of Nix', () => {
    assert.equal(secret.name, 'test.gachix-1')
    assert.equal(secret.secretText(), vectors.secretKey)
    assert.equal(secret.publicKey.toString(), vectors.publicKey)
    assert.equal(SecretKey.parse(`${vectors.secretKey}\n`).secretText(), vectors.secretKey)
    assert.equal(PublicKey.parse(` ${vectors.publicKey}\n`).toString(), vectors.publicKey)
    assert.equal(JSON.stringify(trusted), JSON.stringify(vectors.publicKey))
  })

  it('are refused when malformed, and errors do not tell a secret', () => {
    for (const { text, why } of vectors.invalidPublicKeys) {
      assert.throws(() => PublicKey.parse(text), { code: 'ERR_KEY_INVALID' }, why)
    }
    for (const { text, why } of vectors.invalidSecretKeys) {
      assert.throws(() => SecretKey.parse(text), { code: 'ERR_KEY_INVALID' }, why)
    }
    const payload = vectors.secretKey.split(':')[1]!
    for (const attempt of [
      () => PublicKey.parse(vectors.secretKey),
      () => SecretKey.parse(payload),
      () => SecretKey.parse(`a:b:${payload}`),
      () => SecretKey.parse(`a:${payload.slice(4)}`),
      () => SecretKey.parse(`:${payload}`),
    ]) {
      assert.throws(attempt, (error: Error) => !inspect(error).includes(payload.slice(4, 40)))
    }
    for (const name of ['', 'a b', 'a:b', 'a,b', 'a;b', 'a\n', 'x'.repeat(256)]) {
      assert.throws(() => SecretKey.generate(name), { code: 'ERR_KEY_INVALID' }, name)
    }
    assert.throws(() => new SecretKey('a-1', new Uint8Array(31)), { code: 'ERR_KEY_INVALID' })
  })

  it('are new each time', () => {
    const one = SecretKey.generate('a-1')
    assert.notEqual(one.secretText(), SecretKey.generate('a-1').secretText())
    assert.equal(SecretKey.parse(one.secretText()).publicKey.toString(), one.publicKey.toString())
  })

  it('do not show their secret by accident', () => {
    const payload = vectors.secretKey.split(':')[1]!
    const seedHex = Buffer.from(payload, 'base64').subarray(0, 32).toString('hex')
    const shown = [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect({ secret }, { depth: 9, showHidden: true }),
      JSON.stringify(Object.entries(secret)),
      inspect({ ...secret }, { depth: 9 }),
    ]
    for (const text of shown) {
      assert.ok(!text.includes(payload.slice(0, 30)), text)
      assert.ok(!text.replace(/[^0-9a-f]/g, '').includes(seedHex.slice(0, 16)), text)
    }
    assert.match(shown[0]!, /test\.gachix-1/)
  })

  it('keep their own bytes', () => {
    const bytes = Uint8Array.from(trusted.bytes)
    const key = new PublicKey('a-1', bytes)
    bytes.fill(0)
    assert.deepEqual(key.bytes, trusted.bytes)
  })
})
