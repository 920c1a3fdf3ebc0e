/** What a mesh is made of, and the words in which it and its users talk. */
import type { Logger } from '../../util/log.ts'
import type { BackoffInit } from '../book/backoff.ts'
import type { Identity } from '../identity.ts'
import type { ShareSetting } from '../inventory/share-policy.ts'
import type { ServedRepository } from '../serve/repository.ts'
import type { MeshPolicy } from './admission.ts'
import type { InventorySource } from './shared-packages.ts'

export interface MeshSettings {
  readonly listen: readonly string[]
  readonly announce: readonly string[]
  readonly network: string
  readonly policy: MeshPolicy
  /** Peers to connect to, as `HOST:PORT` or multiaddr. */
  readonly peers: readonly string[]
  readonly allow: readonly string[]
  readonly mdns: boolean
  readonly share: ShareSetting
  /** Bytes a second; 0 for no limit. */
  readonly uploadLimit: number
  readonly downloadLimit: number
}

export interface MeshInit {
  readonly settings: MeshSettings
  readonly identity: Identity
  /** Git directory of the node's repository. */
  readonly gitDir: string
  /** Our own folder in it; losing it costs time. */
  readonly ownDir: string
  /** Contents of a `swarm.key`. */
  readonly preSharedKey?: Uint8Array
  readonly repository: ServedRepository
  readonly inventory: InventorySource
  readonly logger: Logger
  /** Times of redialling; for tests. */
  readonly redial?: BackoffInit
}

/** Is told which packages (hash parts) a peer turned out to have, and this node perhaps not. Must not throw. */
export type NewsListener = (peer: string, hashes: readonly string[]) => void

/** What a peer did when something was fetched from it, as whoever fetched judges it. */
export type FetchVerdict = 'delivered' | 'did not have it' | 'broke off' | 'trickled' | 'lied'

/** What another machine needs to know to join. */
export interface Invitation {
  readonly id: string
  /** Multiaddrs with the id. */
  readonly addresses: readonly string[]
  readonly network: string
}
