import { nix32Decode, nix32Encode, nix32Length } from './base32.ts'
import { decodeBase64 } from './base64.ts'
import { HashFormatError } from './errors.ts'
import { quote } from './quote.ts'

/** Hash algorithms that Nix names in its text forms. */
export type HashAlgorithm = 'md5' | 'sha1' | 'sha256' | 'sha512'

/** Text forms: three with an `algorithm:` prefix, and `sri` = `algorithm-base64`. */
export type HashForm = 'nix32' | 'base16' | 'base64' | 'sri'

/** A digest and the algorithm that made it. */
export interface NixHash {
  readonly algorithm: HashAlgorithm
  /** Exactly as many bytes as the algorithm makes. */
  readonly digest: Uint8Array
}

/** Length of each algorithm's digest in bytes. */
export const DIGEST_SIZES: Readonly<Record<HashAlgorithm, number>> = {
  md5: 16,
  sha1: 20,
  sha256: 32,
  sha512: 64,
}

/** Whether the text names a hash algorithm. */
export function isHashAlgorithm(text: string): text is HashAlgorithm {
  return Object.hasOwn(DIGEST_SIZES, text)
}

/**
 * Reads a hash in any of Nix's text forms: `sha256:<nix32>`, `sha256:<hex>`, `sha256:<base64>` (told apart by length)
 * and `sha256-<base64>`. With an algorithm given the prefix may be left out, and a prefix must name that algorithm.
 * Hex may be of either case; nix32 and base 64 must be canonical.
 *
 * @throws HashFormatError
 */
export function parseHash(text: string, algorithm?: HashAlgorithm): NixHash {
  const separator = text.search(/[:-]/)
  if (separator === -1) {
    if (algorithm === undefined) {
      throw new HashFormatError(
        `${quote(text)} does not say which hash algorithm it is of; write for instance sha256:…`,
      )
    }
    return { algorithm, digest: parseDigest(text, algorithm, text) }
  }
  const named = text.slice(0, separator)
  if (!isHashAlgorithm(named)) {
    throw new HashFormatError(
      `${quote(text)} names no known hash algorithm; known are md5, sha1, sha256 and sha512`,
    )
  }
  if (algorithm !== undefined && named !== algorithm) {
    throw new HashFormatError(`${quote(text)} is a hash of ${named} where ${algorithm} is needed`)
  }
  const rest = text.slice(separator + 1)
  if (text[separator] === ':') return { algorithm: named, digest: parseDigest(rest, named, text) }
  const digest = decodeBase64(rest)
  if (digest === undefined || digest.length !== DIGEST_SIZES[named]) {
    throw new HashFormatError(
      `${quote(text)} is not ${named}- followed by base 64 of ${DIGEST_SIZES[named]} bytes`,
    )
  }
  return { algorithm: named, digest }
}

/** The hash as text in the given form, always with its algorithm in front. */
export function formatHash(hash: NixHash, form: HashForm): string {
  const { algorithm, digest } = hash
  if (form === 'nix32') return `${algorithm}:${nix32Encode(digest)}`
  const bytes = Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength)
  if (form === 'base16') return `${algorithm}:${bytes.toString('hex')}`
  return `${algorithm}${form === 'sri' ? '-' : ':'}${bytes.toString('base64')}`
}

/** Whether two hashes are of one algorithm and equal. */
export function hashEquals(a: NixHash, b: NixHash): boolean {
  return a.algorithm === b.algorithm && Buffer.compare(a.digest, b.digest) === 0
}

function parseDigest(text: string, algorithm: HashAlgorithm, whole: string): Buffer {
  const size = DIGEST_SIZES[algorithm]
  if (text.length === size * 2) {
    if (/^[0-9a-fA-F]+$/.test(text)) return Buffer.from(text, 'hex')
  } else if (text.length === nix32Length(size)) {
    return decodeNix32(text, algorithm, whole)
  } else {
    const digest = decodeBase64(text)
    if (digest?.length === size) return digest
  }
  throw new HashFormatError(`${quote(whole)} is not a ${algorithm} hash in hex, nix32 or base 64`)
}

function decodeNix32(text: string, algorithm: HashAlgorithm, whole: string): Buffer {
  try {
    return nix32Decode(text)
  } catch (cause) {
    throw new HashFormatError(`${quote(whole)} has the length of ${algorithm} in nix32 but is not nix32`, {
      cause,
    })
  }
}
