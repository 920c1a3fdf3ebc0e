/** Peer ids in their two forms: as text, which people and libp2p use, and as the hexadecimal key of the mesh's logic. */
import { peerIdFromMultihash, peerIdFromString } from '@libp2p/peer-id'
import { LRUCache } from 'lru-cache'
import * as Digest from 'multiformats/hashes/digest'
import type { PeerKey } from './inventory/directory.ts'

const MAX_REMEMBERED = 4096
const keys = new LRUCache<string, PeerKey>({ max: MAX_REMEMBERED })
const ids = new LRUCache<PeerKey, string>({ max: MAX_REMEMBERED })

/** Binary form of a peer id. */
export function peerIdBytes(id: string): Uint8Array {
  return peerIdFromString(id).toMultihash().bytes
}

/** Text form of a binary peer id. Throws when it is none. */
export function peerIdText(bytes: Uint8Array): string {
  return peerIdFromMultihash(Digest.decode(bytes)).toString()
}

export function keyOf(id: string): PeerKey {
  let key = keys.get(id)
  if (key === undefined) {
    key = Buffer.from(peerIdBytes(id)).toString('hex')
    keys.set(id, key)
  }
  return key
}

export function idOf(key: PeerKey): string {
  let id = ids.get(key)
  if (id === undefined) {
    id = peerIdText(Buffer.from(key, 'hex'))
    ids.set(key, id)
  }
  return id
}
