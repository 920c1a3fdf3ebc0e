/** What comes is given back once it was read: all that nobody needs, and nothing that somebody does. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'
import { releaseAlone } from '../../../src/peers/streams/release.ts'
import { decryptAndRelease, encryptAndRelease } from '../../../src/peers/swarm/encryption.ts'
import { giveUp, isGivenUp } from '../../../src/util/release.ts'

const KIBIBYTE = 1024
const KEY = randomBytes(32)
const NONCE = Buffer.alloc(12)
const NOTHING = new Uint8Array(0)

const flat = (bytes: Uint8Array | Uint8ArrayList): Buffer => Buffer.from(bytes.slice())
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Encrypted messages of these lengths one after the other, in memory of their own as a socket gives them, cut at `cuts`. */
function received(lengths: readonly number[], cuts: readonly number[]) {
  const plain = lengths.map((length) => randomBytes(length))
  const encrypted = plain.map((data) =>
    flat(defaultCrypto.chaCha20Poly1305Encrypt(data, NONCE, NOTHING, KEY)),
  )
  const all = Buffer.concat(encrypted)
  const chunks = [...cuts, all.length].map((end, i) => new Uint8Array(all.subarray(cuts[i - 1] ?? 0, end)))
  const list = new Uint8ArrayList(...chunks)
  const ends = encrypted.map((_, i) => encrypted.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0))
  return { plain, chunks, messages: ends.map((end, i) => list.sublist(ends[i - 1] ?? 0, end)) }
}

/** As noise asks for it: with a place for the plaintext, which is the ciphertext's own where that lies in one piece. */
function decrypt(message: Uint8ArrayList, ad = NOTHING): Uint8Array | Uint8ArrayList {
  return decryptAndRelease(message, NONCE, ad, KEY, message.subarray(0, message.length - 16))
}

describe('decrypting', () => {
  for (const [name, lengths, cuts] of [
    ['messages in one piece', [40_000, 20_000], []],
    ['a message in two pieces', [40_000, 40_000], [60_000]],
    ['short messages, of which the last ends a piece', [30_000, 100, 1000], []],
    ['short messages in two pieces', [30_000, 700, 30_000], [30_300]],
    ['a tag in two pieces', [30_000, 30_000, 30_000], [60_020]],
  ] as const) {
    it(`gives back ${name} once all is read, and keeps the plaintext`, () => {
      const { plain, chunks, messages } = received(lengths, cuts)
      const results = messages.map((message) => decrypt(message))
      assert.deepEqual(results.map(flat), plain)
      assert.deepEqual(
        chunks.map(({ length }) => length),
        chunks.map(() => 0),
      )
    })
  }

  it('keeps what the next message needs', () => {
    const { plain, chunks, messages } = received([20_000, 30_000, 30_000], [60_000])
    assert.equal(sha256(flat(decrypt(messages[0]!))), sha256(plain[0]!))
    assert.deepEqual(
      chunks.map(({ length }) => length),
      [60_000, 20_048],
    )
  })

  it('keeps what a handshake looks at again', () => {
    const ad = Buffer.alloc(32)
    const data = randomBytes(20_000)
    const encrypted = new Uint8Array(flat(defaultCrypto.chaCha20Poly1305Encrypt(data, NONCE, ad, KEY)))
    assert.deepEqual(flat(decrypt(new Uint8ArrayList(encrypted), ad)), data)
    assert.equal(encrypted.length, 20_016)
  })

  it('refuses what was changed', () => {
    const { chunks, messages } = received([20_000], [])
    chunks[0]![100]! ^= 1
    assert.throws(() => decrypt(messages[0]!))
  })
})

describe('encrypting', () => {
  const encrypt = (plaintext: Uint8Array | Uint8ArrayList) =>
    flat(encryptAndRelease(plaintext, NONCE, NOTHING, KEY))
  const decrypted = (bytes: Buffer) =>
    flat(defaultCrypto.chaCha20Poly1305Decrypt(new Uint8ArrayList(bytes), NONCE, NOTHING, KEY))

  it('gives back what was given up, with its last byte', () => {
    const data = randomBytes(100_000)
    const sent = giveUp(Buffer.copyBytesFrom(data))
    const header = Buffer.alloc(12)
    const first = encrypt(new Uint8ArrayList(header, sent.subarray(0, 60_000)))
    assert.equal(sent.length, 100_000)
    const second = encrypt(sent.subarray(60_000))
    assert.equal(sent.length, 0)
    assert.deepEqual(Buffer.concat([decrypted(first), decrypted(second)]), Buffer.concat([header, data]))
  })

  it('gives back part of a memory to whom it came from, once its last byte was encrypted', () => {
    const memory = randomBytes(100_000)
    const done: Uint8Array[] = []
    const sent = giveUp(memory.subarray(0, 50_000), (bytes) => done.push(bytes))
    encryptAndRelease(sent.subarray(0, 40_000), NONCE, NOTHING, KEY)
    assert.equal(done.length, 0)
    encryptAndRelease(sent.subarray(40_000), NONCE, NOTHING, KEY)
    assert.deepEqual(
      done.map(({ buffer }) => buffer),
      [memory.buffer],
    )
    encryptAndRelease(sent, NONCE, NOTHING, KEY)
    assert.equal(done.length, 1)
  })

  it('gives up what comes of it, but for a handshake', () => {
    const text = new Uint8ArrayList(randomBytes(30_000))
    const [ciphertext] = [...(encryptAndRelease(text, NONCE, NOTHING, KEY) as Uint8ArrayList)]
    assert.ok(isGivenUp(ciphertext!))
    const [hashed] = [...(encryptAndRelease(text, NONCE, Buffer.alloc(32), KEY) as Uint8ArrayList)]
    assert.ok(!isGivenUp(hashed!))
  })

  it('keeps all else, and what shares its memory with others', () => {
    const sent = randomBytes(40_000)
    encrypt(sent)
    assert.equal(sent.length, 40_000)
    const small = giveUp(Buffer.allocUnsafe(20_000))
    encrypt(new Uint8Array(small.buffer))
    assert.equal(small.length, 20_000)
  })
})

describe('what came on a stream', () => {
  const memory = () => new Uint8Array(64 * KIBIBYTE)

  it('is given back when it lies alone in its memory, but for its header', () => {
    for (const start of [0, 5, 12]) {
      const data = memory()
      releaseAlone(data.subarray(start))
      assert.equal(data.length, 0)
    }
  })

  it('is kept when something of another stream may lie beside it', () => {
    for (const [start, end] of [
      [13, 64 * KIBIBYTE],
      [0, 64 * KIBIBYTE - 1],
      [12, 40_000],
    ]) {
      const data = memory()
      releaseAlone(data.subarray(start, end))
      assert.equal(data.length, 64 * KIBIBYTE)
    }
  })
})
