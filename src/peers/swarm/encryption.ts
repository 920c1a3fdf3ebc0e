import { createSecretKey, type KeyObject } from 'node:crypto'
import { type NoiseInit, noise } from '@chainsafe/libp2p-noise'
import { defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import { giveUp, releaseEnd, releaseGivenUp } from '../../util/release.ts'

type Crypto = NonNullable<NoiseInit['crypto']>

/**
 * Noise that gives back the memory of what it has decrypted: of the buffers that the socket filled, once the last of each is read, and of
 * the copy that it makes of each message that lies in two of them; and that of what was given up for sending.
 */
export function encryption(): ReturnType<typeof noise> {
  return noise({
    crypto: {
      ...defaultCrypto,
      chaCha20Poly1305Decrypt: decryptAndRelease,
      chaCha20Poly1305Encrypt: encryptAndRelease,
    },
  })
}

/** Shorter messages noise leaves to WebAssembly, which takes keys as they are. */
const SHORTEST_NATIVE = 1200

const prepared = new WeakMap<Uint8Array, KeyObject>()

/** The key as a key object: that bytes are none Node finds out by an exception, for every message. */
function prepare(key: Uint8Array, message: { byteLength: number }): Uint8Array {
  if (message.byteLength < SHORTEST_NATIVE) return key
  let made = prepared.get(key)
  if (made === undefined) {
    made = createSecretKey(key)
    prepared.set(key, made)
  }
  // noise hands it on to `node:crypto`, which takes either.
  return made as unknown as Uint8Array
}

/**
 * Decrypts, and gives back what nobody reads after it.
 *
 * @param target where noise would have the plaintext of a short message: in the ciphertext's place, or that of its copy
 */
export const decryptAndRelease: Crypto['chaCha20Poly1305Decrypt'] = (ciphertext, nonce, ad, key, target) => {
  // In a handshake, which has associated data, the ciphertext is looked at again.
  if (ad.length > 0) return defaultCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, target)
  const plaintext = defaultCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, prepare(key, ciphertext))
  for (const part of parts(ciphertext)) releaseEnd(part)
  if (target !== undefined) releaseEnd(target)
  return plaintext instanceof Uint8Array ? asBuffer(plaintext) : plaintext
}

/**
 * Encrypts, and gives back what was given up for it: see `giveUp`. What is sent is encrypted in its order. What comes of it is given up as
 * well: nobody has it but the socket, or what encrypts it once more under a pre-shared key, and leaves it to the collector.
 */
export const encryptAndRelease: Crypto['chaCha20Poly1305Encrypt'] = (plaintext, nonce, ad, key) => {
  const ciphertext = defaultCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, prepare(key, plaintext))
  for (const part of parts(plaintext)) releaseGivenUp(part)
  // In a handshake, which has associated data, it is hashed.
  if (ad.length === 0) for (const part of parts(ciphertext)) giveUp(part)
  return ciphertext
}

function parts(bytes: Parameters<Crypto['chaCha20Poly1305Encrypt']>[0]): Iterable<Uint8Array> {
  return bytes instanceof Uint8Array ? [bytes] : bytes
}

/** A buffer, as a socket's are and what lies in their place. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
