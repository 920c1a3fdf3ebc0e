import { type NoiseInit, noise } from '@chainsafe/libp2p-noise'
import { defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import { release } from '../../util/release.ts'

type Decrypt = NonNullable<NoiseInit['crypto']>['chaCha20Poly1305Decrypt']

/**
 * Noise that gives back the memory of what it has decrypted: of the buffers that the socket filled, once the last of each is read, and of
 * the copy that it makes of each message that lies in two of them.
 */
export function encryption(): ReturnType<typeof noise> {
  return noise({ crypto: { ...defaultCrypto, chaCha20Poly1305Decrypt: decryptAndRelease } })
}

/**
 * Decrypts, and gives back what nobody reads after it.
 *
 * @param target where noise would have the plaintext of a short message: in the ciphertext's place, or that of its copy
 */
export const decryptAndRelease: Decrypt = (ciphertext, nonce, ad, key, target) => {
  // In a handshake, which has associated data, the ciphertext is looked at again.
  if (ad.length > 0) return defaultCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, target)
  const plaintext = defaultCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key)
  const parts = ciphertext instanceof Uint8Array ? [ciphertext] : [...ciphertext]
  if (target !== undefined) parts.push(target)
  for (const part of parts) {
    if (part.byteOffset + part.byteLength === part.buffer.byteLength) release(part)
  }
  return plaintext instanceof Uint8Array ? asBuffer(plaintext) : plaintext
}

/** A buffer, as a socket's are and what lies in their place. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
