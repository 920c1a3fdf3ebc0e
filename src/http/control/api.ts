/**
 * The contract between the `gachix` command and a running node: what can be asked of a node's own machine over its
 * control socket. The command uses the same `Operations` directly when no node runs.
 */
import type { SyncEvent } from '../../store/sync-event.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { MeshIdentity, PeerOperations } from './peer-api.ts'
import type { SourceStatus, SyncOperations } from './sync-api.ts'

export interface AddRequest {
  /** Store paths, absolute; a path inside a store path means that store path. */
  readonly paths: readonly string[]
  /** Add only the named paths, not what they refer to. */
  readonly single: boolean
  /** Name of the one source to learn from, or the URL of a binary cache. By default the local daemon, then all others. */
  readonly from?: string
  /** Socket of the Nix daemon to learn from, when the caller's environment names one. */
  readonly daemonSocket?: string
}

export interface AddSummary {
  /** Packages that were looked at: named ones, and of their closures what is not below a package that is present. */
  readonly paths: number
  readonly added: number
  readonly present: number
  /** NAR bytes of the added packages. */
  readonly bytes: number
  /** By how much the repository grew on disk, bytes. */
  readonly stored: number
  readonly seconds: number
}

/** One row of `gachix list`. */
export interface PackageSummary {
  readonly hash: string
  /** Full store path. */
  readonly path: string
  readonly narSize: number
  readonly references: number
}

/** What `gachix info` says of one package. */
export interface PackageDetails {
  readonly path: string
  readonly narHash: string
  readonly narSize: number
  readonly references: readonly string[]
  readonly deriver: string | null
  readonly signatures: readonly string[]
  readonly ca: string | null
  readonly tree: string
  readonly commit: string | null
  /** The URL below the cache's root of the plain NAR and, once worked out, of the gzip one. */
  readonly url: string
  readonly gzip: { readonly url: string; readonly size: number; readonly sha256: string } | null
  /** Packages of the closure that are here, and their NAR bytes. `complete` tells whether none is missing. */
  readonly closure: { readonly paths: number; readonly narSize: number; readonly complete: boolean }
}

/** What the node's process holds: figures that stay level in a healthy node, whatever it has been through. */
export interface ProcessStatus {
  /** Resident memory, and of it JavaScript objects and the buffers outside of them; bytes. */
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
  /** What keeps the process busy, by Node's names (`TCPSocketWrap`, `Timeout`, ...): how many of each. */
  readonly handles: Readonly<Record<string, number>>
  /** Listeners for events of the process itself. */
  readonly listeners: number
}

/** What the mesh holds at present. */
export interface MeshLoad {
  /** Connections to peers, strangers included, and streams on them, libp2p's own included. */
  readonly connections: number
  readonly streams: number
  /** Who waits for the end of the mesh: one for each exchange that runs. */
  readonly listeners: number
}

export interface NodeStatus {
  readonly version: string
  readonly pid: number
  /** Seconds since the node started. */
  readonly uptime: number
  readonly process: ProcessStatus
  readonly store: { readonly path: string; readonly storeDir: string; readonly packages: number }
  readonly http: { readonly url: string } | null
  readonly publicKey: string | null
  /** Where packages can come from, in the order in which they are asked. */
  readonly sources: readonly SourceStatus[]
  /** The node's part in the mesh; `null` when it has none. */
  readonly mesh:
    | (MeshIdentity & { readonly network: string; readonly connected: number; readonly load: MeshLoad })
    | null
}

export interface AddOptions extends AbortOptions {
  onEvent?: (event: SyncEvent) => void
}

/** What can be asked of a node. */
export interface Operations extends PackageOperations, SyncOperations, PeerOperations {}

export interface PackageOperations {
  /** @throws GachixError when a path is unknown, cannot be read or does not match its hash */
  add(request: AddRequest, options?: AddOptions): Promise<AddSummary>
  list(options?: AbortOptions): AsyncIterable<PackageSummary>
  /** `target` is a store path, its base name or its hash part. `undefined` when the package is not here. */
  info(target: string, options?: AbortOptions): Promise<PackageDetails | undefined>
  status(): Promise<NodeStatus>
}
