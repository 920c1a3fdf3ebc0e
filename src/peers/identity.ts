/**
 * Who a node is in the mesh: an Ed25519 key of its own, apart from the key that signs packages. A peer id is the public
 * key, so nobody can pretend to be a peer, and a node that keeps its file keeps its id.
 */
import { join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { writeFileAtomically } from '../util/atomic-file.ts'
import { errorCode, errorMessage } from '../util/errors.ts'
import { readBounded } from '../util/read-bounded.ts'
import { IdentityError } from './errors.ts'

/**
 * Lies in the Git directory, like the signing key: outside of the refs (no clone carries it away) and outside of `gachix/`
 * (which may be deleted).
 */
const IDENTITY_FILE = 'gachix-peer-key'
/** Bytes of an identity file: 68 bytes as base64, and white space. */
const MAX_IDENTITY_FILE_SIZE = 1024

export interface Identity {
  readonly privateKey: PrivateKey
  /** Peer id as text, for instance `12D3KooW…`. */
  readonly id: string
}

/**
 * The node's identity; makes one when there is none. To be called by the process that holds the repository's lock.
 *
 * @param gitDir the Git directory of the node's repository
 * @throws IdentityError
 */
export async function ensureIdentity(gitDir: string): Promise<Identity> {
  const path = join(gitDir, IDENTITY_FILE)
  const found = readIdentity(path)
  if (found !== undefined) return found
  const privateKey = await generateKeyPair('Ed25519')
  const text = `${Buffer.from(privateKeyToProtobuf(privateKey)).toString('base64')}\n`
  try {
    await writeFileAtomically(path, text, { mode: 0o600 })
  } catch (error) {
    throw new IdentityError(`cannot write the mesh identity to ${path}: ${errorMessage(error)}`, {
      cause: error,
    })
  }
  return identityOf(privateKey)
}

function readIdentity(path: string): Identity | undefined {
  let bytes: Uint8Array | undefined
  try {
    bytes = readBounded(path, MAX_IDENTITY_FILE_SIZE)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw new IdentityError(`cannot read the mesh identity ${path}: ${errorMessage(error)}`, { cause: error })
  }
  try {
    const privateKey = privateKeyFromProtobuf(Buffer.from(Buffer.from(bytes ?? []).toString(), 'base64'))
    if (privateKey.type === 'Ed25519') return identityOf(privateKey)
  } catch (error) {
    throw noIdentity(path, error)
  }
  throw noIdentity(path)
}

function noIdentity(path: string, cause?: unknown): IdentityError {
  return new IdentityError(
    `${path} holds no Ed25519 key; remove it, and the node makes itself a new identity`,
    { cause },
  )
}

function identityOf(privateKey: PrivateKey): Identity {
  return { privateKey, id: peerIdFromPrivateKey(privateKey).toString() }
}
