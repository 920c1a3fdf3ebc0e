import type { KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { decodeBase64 } from './base64.ts'
import {
  isPublicKey,
  PUBLIC_KEY_SIZE,
  publicKeyOf,
  randomSeed,
  SEED_SIZE,
  SIGNATURE_SIZE,
  signMessage,
  verifyingKey,
  verifyMessage,
} from './ed25519.ts'
import { KeyFormatError, SignatureFormatError } from './errors.ts'
import { formatHash } from './hash.ts'
import type { PathInfo } from './path-info.ts'
import { quote } from './quote.ts'
import { compareStorePaths } from './store-path.ts'

/** Longest key name; Nix has no bound, but a name travels with every signature. */
const MAX_KEY_NAME = 255

/** A public key with the name under which signatures refer to it. */
export class PublicKey {
  /** Matched exactly; by convention `host-N`. */
  readonly name: string
  /** The 32 bytes of the key. */
  readonly bytes: Uint8Array
  #verifyingKey: KeyObject | undefined

  /**
   * @throws KeyFormatError when the name cannot be a key's, or the bytes are no point to trust: not 32 of them, not on
   *   the curve, not canonical, or of small order, for which anyone can make signatures
   */
  constructor(name: string, bytes: Uint8Array) {
    checkKeyName(name)
    if (!isPublicKey(bytes)) {
      throw new KeyFormatError(
        `the public key ${quote(name)} is not a valid Ed25519 key of ${PUBLIC_KEY_SIZE} bytes`,
      )
    }
    this.name = name
    this.bytes = Uint8Array.from(bytes)
  }

  /**
   * Reads `name:base64`, as in Nix's `trusted-public-keys`; white space around it is dropped.
   *
   * @throws KeyFormatError
   */
  static parse(text: string): PublicKey {
    const { name, payload } = splitNamed(text.trim())
    const bytes = payload === undefined ? undefined : decodeBase64(payload)
    if (name === undefined || bytes === undefined) {
      throw new KeyFormatError(`${quote(text)} is not a public key: it must be name:base64`)
    }
    if (bytes.length === SEED_SIZE + PUBLIC_KEY_SIZE) {
      throw new KeyFormatError(
        `${quote(name)} is a secret key where a public key is needed; replace it if it got out`,
      )
    }
    return new PublicKey(name, bytes)
  }

  /** Whether the signature over the message is this key's. */
  verify(message: Uint8Array, signature: Uint8Array): boolean {
    this.#verifyingKey ??= verifyingKey(this.bytes)
    return verifyMessage(message, signature, this.#verifyingKey)
  }

  /** `name:base64`, the form for `trusted-public-keys`. */
  toString(): string {
    return `${this.name}:${Buffer.from(this.bytes).toString('base64')}`
  }

  toJSON(): string {
    return this.toString()
  }
}

/** A secret key. Logging, printing or serializing one shows its name only; `secretText()` gives it away. */
export class SecretKey {
  readonly name: string
  readonly publicKey: PublicKey
  readonly #seed: Uint8Array

  /**
   * @param seed the 32 secret bytes
   * @throws KeyFormatError
   */
  constructor(name: string, seed: Uint8Array) {
    if (seed.length !== SEED_SIZE) {
      throw new KeyFormatError(`the secret key ${quote(name)} does not have a seed of ${SEED_SIZE} bytes`)
    }
    this.#seed = Uint8Array.from(seed)
    this.publicKey = new PublicKey(name, publicKeyOf(this.#seed))
    this.name = name
  }

  /** Makes a new random key. */
  static generate(name: string): SecretKey {
    return new SecretKey(name, randomSeed())
  }

  /**
   * Reads what `nix-store --generate-binary-cache-key` writes: `name:base64` of seed and public key; white space around it
   * is dropped. Messages of errors do not hold the text.
   *
   * @throws KeyFormatError also when the public half is not the seed's, since signing with such a pair gives the seed away
   */
  static parse(text: string): SecretKey {
    const { name, payload } = splitNamed(text.trim())
    const bytes = payload === undefined ? undefined : decodeBase64(payload)
    if (name === undefined || bytes?.length !== SEED_SIZE + PUBLIC_KEY_SIZE) {
      throw new KeyFormatError(
        `the text is not a secret key: it must be name:base64 of ${SEED_SIZE + PUBLIC_KEY_SIZE} bytes, as nix-store --generate-binary-cache-key makes it`,
      )
    }
    const key = new SecretKey(name, bytes.subarray(0, SEED_SIZE))
    if (Buffer.compare(bytes.subarray(SEED_SIZE), key.publicKey.bytes) !== 0) {
      throw new KeyFormatError(
        `the secret key ${quote(name)} is damaged: its two halves do not belong together`,
      )
    }
    return key
  }

  /** The signature over the message, 64 bytes. */
  sign(message: Uint8Array): Uint8Array {
    return signMessage(message, this.#seed)
  }

  /** The whole secret as `name:base64`, to be written to a key file and nowhere else. */
  secretText(): string {
    return `${this.name}:${Buffer.concat([this.#seed, this.publicKey.bytes]).toString('base64')}`
  }

  toString(): string {
    return `${this.name}:(secret)`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return `SecretKey(${this.toString()})`
  }
}

/** A signature taken apart. */
export interface NamedSignature {
  readonly keyName: string
  /** 64 bytes. */
  readonly signature: Uint8Array
}

/**
 * Takes `name:base64` apart.
 *
 * @throws SignatureFormatError unless there is a key name and canonical base 64 of 64 bytes
 */
export function parseSignature(text: string): NamedSignature {
  const parsed = readSignature(text)
  if (parsed !== undefined) return parsed
  throw new SignatureFormatError(
    `${quote(text)} is not a signature: it must be name:base64 of ${SIGNATURE_SIZE} bytes`,
  )
}

/** The text that a signature of a path is over: path, NAR hash, NAR size and references, in Nix's format 1. */
export function fingerprint(info: PathInfo): string {
  const references = [...info.references].sort(compareStorePaths).join(',')
  return `1;${info.storePath};${formatHash(info.narHash, 'nix32')};${info.narSize};${references}`
}

/** Signs a path; the result is a `name:base64` text for `PathInfo.signatures`. */
export function sign(secret: SecretKey, info: PathInfo): string {
  const signature = secret.sign(Buffer.from(fingerprint(info)))
  return `${secret.name}:${Buffer.from(signature).toString('base64')}`
}

/**
 * Names of those of the keys that have a good signature among the path's, in the order of the keys. Malformed signatures
 * and ones by other keys count for nothing. Two keys of one name are both tried.
 */
export function verify(publicKeys: Iterable<PublicKey>, info: PathInfo): string[] {
  const signatures = info.signatures.map(readSignature)
  const good = new Set<string>()
  let message: Buffer | undefined
  for (const key of publicKeys) {
    for (const candidate of signatures) {
      if (candidate?.keyName !== key.name || good.has(key.name)) continue
      message ??= Buffer.from(fingerprint(info))
      if (key.verify(message, candidate.signature)) good.add(key.name)
    }
  }
  return [...good]
}

function readSignature(text: string): NamedSignature | undefined {
  const { name, payload } = splitNamed(text)
  if (name === undefined || payload === undefined || !isKeyName(name)) return undefined
  const signature = decodeBase64(payload)
  return signature?.length === SIGNATURE_SIZE ? { keyName: name, signature } : undefined
}

function splitNamed(text: string): { name?: string; payload?: string } {
  const colon = text.indexOf(':')
  return colon === -1 ? {} : { name: text.slice(0, colon), payload: text.slice(colon + 1) }
}

/** Names are kept free of what separates them in lists, narinfo lines and Nix's database. */
function isKeyName(name: string): boolean {
  return name.length > 0 && name.length <= MAX_KEY_NAME && !/[\s:,;\p{Cc}]/u.test(name)
}

function checkKeyName(name: string): void {
  if (!isKeyName(name)) {
    throw new KeyFormatError(
      `${quote(name)} cannot be the name of a key: it must have 1 to ${MAX_KEY_NAME} characters without white space, ":", "," and ";"`,
    )
  }
}
