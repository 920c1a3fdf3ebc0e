/**
 * The key with which a node signs what it serves.
 *
 * Nix clients refuse unsigned packages unless told otherwise, and a package that was built here carries nobody's
 * signature. So that a fresh node is of use at once, it makes a key of its own when none is configured, and keeps it in
 * the Git directory: beside the packages that it vouches for, outside of the refs (no clone or fetch carries it away) and
 * outside of `gachix/` (which may be deleted).
 */
import { stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Config } from './config/schema.ts'
import { SecretKey } from './nix/signature.ts'
import { writeFileAtomically } from './util/atomic-file.ts'
import { errorCode, errorMessage, GachixError } from './util/errors.ts'
import type { Logger } from './util/log.ts'
import { readBounded } from './util/read-bounded.ts'

/** Bytes of a key file: the longest name, 64 bytes as base64, some white space. */
const MAX_KEY_FILE_SIZE = 4096
const AUTOMATIC_KEY_FILE = 'gachix-signing-key'

/** A key file cannot be read, holds no key, or cannot be written. */
export class SigningKeyError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_SIGNING_KEY', message, options)
  }
}

export interface SigningKey {
  readonly key: SecretKey
  /** The file that holds it. */
  readonly path: string
  /** Named by `store.sign_private_key_path`, or made by the node itself. */
  readonly origin: 'configured' | 'automatic'
}

/** Name of the key that a node makes on this machine: `gachix-<host name>-1`. */
export function automaticKeyName(): string {
  const host = hostname().replace(/[^A-Za-z0-9.-]+/g, '-')
  return `gachix-${host.replace(/^-+|-+$/g, '') || 'node'}-1`
}

/**
 * The node's key, `undefined` when none is configured and none was made yet.
 *
 * @param gitDir the repository's Git directory, `undefined` when there is no repository yet
 * @throws SigningKeyError
 */
export function findSigningKey(config: Config, gitDir: string | undefined): SigningKey | undefined {
  const configured = config.store.signPrivateKeyPath
  if (configured !== undefined) {
    const key = readKeyFile(configured, 'named by store.sign_private_key_path')
    if (key !== undefined) return { key, path: configured, origin: 'configured' }
    throw new SigningKeyError(
      `there is no ${configured}, named by store.sign_private_key_path; gachix key generate makes such a file`,
    )
  }
  if (gitDir === undefined) return undefined
  const path = join(gitDir, AUTOMATIC_KEY_FILE)
  const key = readKeyFile(path, "the node's own key")
  return key && { key, path, origin: 'automatic' }
}

/**
 * The node's key; makes one when there is none. To be called by the process that holds the repository's lock.
 *
 * @throws SigningKeyError
 */
export async function ensureSigningKey(config: Config, gitDir: string, logger: Logger): Promise<SigningKey> {
  const found = findSigningKey(config, gitDir)
  if (found !== undefined) {
    await warnOfReaders(found.path, logger)
    return found
  }
  const key = SecretKey.generate(automaticKeyName())
  const path = join(gitDir, AUTOMATIC_KEY_FILE)
  await writeKeyFile(path, key)
  logger.info({ path, publicKey: key.publicKey.toString() }, 'made a key to sign packages with')
  return { key, path, origin: 'automatic' }
}

/**
 * Writes a secret key to a file that only its owner may read: whole or not at all, and never over another file unless
 * told so.
 *
 * @throws SigningKeyError
 */
export async function writeKeyFile(
  path: string,
  key: SecretKey,
  options: { replace?: boolean } = {},
): Promise<void> {
  try {
    await writeFileAtomically(path, key.secretText(), { mode: 0o600, ...options })
  } catch (error) {
    const reason = errorCode(error) === 'EEXIST' ? 'it exists already' : errorMessage(error)
    throw new SigningKeyError(`cannot write the key to ${path}: ${reason}`, { cause: error })
  }
}

function readKeyFile(path: string, what: string): SecretKey | undefined {
  let bytes: Uint8Array | undefined
  try {
    bytes = readBounded(path, MAX_KEY_FILE_SIZE)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw new SigningKeyError(`cannot read ${path} (${what}): ${errorMessage(error)}`, { cause: error })
  }
  if (bytes === undefined) throw new SigningKeyError(`${path} (${what}) is too large for a key`)
  try {
    return SecretKey.parse(Buffer.from(bytes).toString('utf8'))
  } catch (error) {
    throw new SigningKeyError(`${path} (${what}) holds no key: ${errorMessage(error)}`, { cause: error })
  }
}

async function warnOfReaders(path: string, logger: Logger): Promise<void> {
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0) {
    logger.warn({ path }, 'the signing key can be read by others than its owner; chmod 600 mends that')
  }
}
