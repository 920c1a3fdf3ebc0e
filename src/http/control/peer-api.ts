/** What can be asked of a node about the mesh, and about whom it trusts. Part of `Operations`; only a running node is in a mesh. */
import type { PeerStatus } from '../../peers/mesh/status.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'

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
  peers(): Promise<readonly PeerStatus[]>
  /** Adds a peer for good and dials it: what is answered tells whether it is connected. */
  addPeer(request: AddPeerRequest): Promise<PeerStatus>
  /** `reference` is a name, an id or an address. */
  removePeer(reference: string): Promise<PeerStatus>
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
