import type { KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { HEAD, type Head, headMessage, SIGNED_HEAD } from '../../../protocol/index.ts'
import { isPublicKey, PUBLIC_KEY_SIZE, signMessage, verifyingKey, verifyMessage } from '../../nix/ed25519.ts'

/** What stands before the key in the binary id of a libp2p peer with an Ed25519 key: identity multihash, protobuf header. */
const ED25519_PEER_ID = Buffer.from('002408011220', 'hex')

/** Keys made ready, most of them of peers that are heard of again and again. */
const MAX_KEYS = 1024

/** The binary peer id of an Ed25519 public key of 32 bytes. */
export function peerIdOf(publicKey: Uint8Array): Buffer {
  return Buffer.concat([ED25519_PEER_ID, publicKey])
}

/** A head as it travels. @param sign makes the Ed25519 signature of 64 bytes with the key that `head.peer` is of */
export function encodeSignedHead(head: Head, sign: (message: Uint8Array) => Uint8Array): Uint8Array {
  const body = HEAD.encode(head)
  return SIGNED_HEAD.encode({ body, signature: sign(headMessage(body)) })
}

/** Signs with the seed (32 bytes) of an Ed25519 key. */
export function headSigner(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  return (message) => signMessage(message, seed)
}

/** Whether a message is signed with the key that a peer id is made of. Other kinds of peer ids have no key in them: never. */
export type Verify = (peer: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean

/** The real thing. Remembers the keys of the peers that it was asked for last. */
export function headVerifier(): Verify {
  const keys = new LRUCache<string, KeyObject>({ max: MAX_KEYS })
  return (peer, message, signature) => {
    const id = Buffer.from(peer)
    const key = keys.get(id.toString('hex')) ?? keyOf(id)
    if (key === undefined) return false
    keys.set(id.toString('hex'), key)
    return verifyMessage(message, signature, key)
  }
}

function keyOf(peer: Buffer): KeyObject | undefined {
  const publicKey = peer.subarray(ED25519_PEER_ID.length)
  if (
    publicKey.length !== PUBLIC_KEY_SIZE ||
    !peer.subarray(0, ED25519_PEER_ID.length).equals(ED25519_PEER_ID)
  ) {
    return undefined
  }
  return isPublicKey(publicKey) ? verifyingKey(publicKey) : undefined
}
