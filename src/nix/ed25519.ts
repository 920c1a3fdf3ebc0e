/**
 * Ed25519 over bytes. @noble/ed25519 makes keys and signatures and is the reference for verifying; the many
 * verifications of a busy node go through node:crypto, some fifteen times faster.
 *
 * The two disagree on signatures that only the owner of an odd key can make, so the rule is the stricter at every point:
 * a signature is good when *both* would take it and Nix (libsodium) does too.
 *
 * - A public key must be a canonical encoding of a point of large order. Checked with noble, once, when a key is made;
 *   not every OpenSSL checks it.
 * - `R` must be the canonical encoding, byte for byte, of the point that the equation without cofactor gives. That is
 *   node:crypto's rule; noble multiplies by the cofactor and so takes an `R` with a small-order part as well.
 * - `R` must not itself be of small order: libsodium refuses those, so a client would; noble and some OpenSSL do not.
 * - `S` must be below the group order, for both.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import * as noble from '@noble/ed25519'

noble.hashes.sha512 = (message) => createHash('sha512').update(message).digest()

/** Bytes of a seed (the secret), of a public key, and of a signature. */
export const SEED_SIZE = 32
export const PUBLIC_KEY_SIZE = 32
export const SIGNATURE_SIZE = 64

/** What stands before the 32 key bytes in a DER SubjectPublicKeyInfo (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** Canonical encodings of the eight points whose order divides 8. */
const SMALL_ORDER_POINTS: ReadonlySet<string> = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
])

/** A new random seed. */
export function randomSeed(): Uint8Array {
  return noble.utils.randomSecretKey()
}

/** The public key of a seed. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  return noble.getPublicKey(seed)
}

/** The signature that the seed's owner gives the message; always the same one (RFC 8032). */
export function signMessage(message: Uint8Array, seed: Uint8Array): Uint8Array {
  return noble.sign(message, seed)
}

/** Whether the bytes are a public key that may be trusted: the canonical encoding of a point of large order. */
export function isPublicKey(bytes: Uint8Array): boolean {
  if (bytes.length !== PUBLIC_KEY_SIZE) return false
  try {
    return !noble.Point.fromBytes(bytes, false).isSmallOrder()
  } catch {
    return false
  }
}

/** A public key made ready for node:crypto; keep it, making it costs more than a verification. */
export function verifyingKey(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
}

/**
 * Whether the signature over the message is good, by the rules at the top of this file.
 *
 * @param key made by `verifyingKey` from bytes that `isPublicKey` holds for
 */
export function verifyMessage(message: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  if (signature.length !== SIGNATURE_SIZE) return false
  const r = Buffer.from(signature.buffer, signature.byteOffset, SIGNATURE_SIZE / 2).toString('hex')
  return !SMALL_ORDER_POINTS.has(r) && verify(null, message, key, signature)
}
