/** What can be asked of a node about the mesh, and about whom it trusts. Part of `Operations`; only a running node is in a mesh. */
import type { AbortOptions } from '../../util/lifecycle.ts'

/** A peer as it is told to people. */
export interface PeerInfo {
  /** Absent until the peer has been met. */
  readonly id?: string
  readonly name?: string
  /** Who told of it. */
  readonly origin: string
  readonly state: string
  readonly addresses: readonly string[]
  /** Round trip in milliseconds. */
  readonly latency?: number
  /** Packages that it announces. */
  readonly packages?: number
  /** Since the node started. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Milliseconds since 1970. */
  readonly lastSeen?: number
  /** Why it is not connected. */
  readonly failure?: string
  /** When it is dialled next, milliseconds since 1970. */
  readonly retryAt?: number
  /** Points against it, from 0 to 100, where it is banned. */
  readonly penalty: number
  /** What it did last to get some. */
  readonly offence?: string
  readonly bannedUntil?: number
}

export interface AddPeerRequest {
  /** `HOST:PORT` or a multiaddr. */
  readonly address: string
  readonly name?: string
  /** Network that the peer is in: to be told before it is dialled in vain. */
  readonly network?: string
  /** Public key to trust for packages from elsewhere, `name:base64`. */
  readonly trust?: string
}

export interface MeshIdentity {
  readonly id: string
  /** Multiaddrs with the id. */
  readonly addresses: readonly string[]
}

export interface Invitation extends MeshIdentity {
  readonly network: string
  readonly publicKey: string
  /** The command that makes another node join. */
  readonly command: string
}

export interface WhoHas {
  readonly hash: string
  /** Whether the package is here, with its closure. */
  readonly here: boolean
  /** Peers that announce it, the likeliest to deliver first. */
  readonly peers: readonly { readonly id: string; readonly name: string; readonly connected: boolean }[]
}

export interface TrustedKey {
  /** `name:base64`. */
  readonly key: string
  readonly from: 'settings' | 'added' | 'this node'
}

export interface PeerOperations {
  /** @throws GachixError `ERR_MESH_OFF` when this node is in no mesh; so do the others about peers */
  peers(): Promise<readonly PeerInfo[]>
  /** Adds a peer for good and dials it: what is answered tells whether it is connected. */
  addPeer(request: AddPeerRequest): Promise<PeerInfo>
  /** `reference` is a name, an id or an address. */
  removePeer(reference: string): Promise<PeerInfo>
  /** Milliseconds of a round trip. */
  pingPeer(reference: string, options?: AbortOptions): Promise<number>
  meshIdentity(): Promise<MeshIdentity>
  invitation(): Promise<Invitation>
  /** `target` is a store path or a hash part. */
  whoHas(target: string, options?: AbortOptions): Promise<WhoHas>
  trustedKeys(): Promise<readonly TrustedKey[]>
  /** @returns whether the key was not trusted before */
  trust(key: string): Promise<boolean>
  /** @returns whether the key (or name) was among those added */
  distrust(nameOrKey: string): Promise<boolean>
}
