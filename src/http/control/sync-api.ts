/** What can be asked of a node about other places: pulling, pushing, and how its sources do. Part of `Operations`. */
import type { SyncEvent } from '../../store/sync-event.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'

export interface SyncRequest {
  /** Store paths, absolute, or hash parts. None: everything that the sources have and the policy wants. */
  readonly paths: readonly string[]
  /** Name of the one source to pull from. */
  readonly from?: string
}

export interface SyncSummary {
  /** Packages that came, and their NAR bytes. */
  readonly added: number
  readonly bytes: number
  /** Packages that were here. */
  readonly present: number
  /** Bytes that came over the wire. */
  readonly received: number
  /** Packages that were left out of a mirror, because they may not be trusted or could not be proven. */
  readonly skipped: number
  /** Packages by the source that they came from. */
  readonly sources: Readonly<Record<string, number>>
  readonly seconds: number
}

export interface PushRequest {
  /** Name of a remote of the settings, or the URL of a Git repository. */
  readonly remote: string
  /** Store paths, absolute, or hash parts. None: all packages that are here with their closure. */
  readonly paths: readonly string[]
}

export interface PushSummary {
  /** Packages that the remote did not have, and their NAR bytes. */
  readonly added: number
  readonly bytes: number
  readonly present: number
  /** Refs that have another value on the remote and were left alone. */
  readonly differing: number
  /** Bytes that went over the wire. */
  readonly sent: number
  readonly seconds: number
}

/** A source of packages and how it has been doing since the node started. */
export interface SourceStatus {
  readonly name: string
  readonly kind: string
  /** Without password. */
  readonly url: string
  readonly requireSignatures: boolean
  readonly state: 'unused' | 'ok' | 'failing'
  readonly requests: number
  readonly failures: number
  /** Milliseconds that the last successful question took. */
  readonly latency: number | null
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Packages taken from it, and their NAR bytes. */
  readonly packages: number
  readonly narBytes: number
  readonly lastError: { readonly code: string; readonly message: string; readonly at: string } | null
}

/** What a look at a remote found. */
export interface RemoteCheck {
  readonly name: string
  readonly url: string
  /** Absent when it cannot be used. */
  readonly works?: {
    readonly transport: string
    /** Version of Git's protocol. */
    readonly version: number
    /** Whether only what is missing can be fetched, object by object. */
    readonly selective: boolean
    readonly packages: number
    /** Milliseconds until it answered. */
    readonly latency: number
  }
  /** Why it cannot be used. */
  readonly problem?: { readonly code: string; readonly message: string }
}

export interface SyncOptions extends AbortOptions {
  onEvent?: (event: SyncEvent) => void
}

export interface SyncOperations {
  /** @throws GachixError when a package cannot be had from anywhere */
  sync(request: SyncRequest, options?: SyncOptions): Promise<SyncSummary>
  /** @throws GachixError when a package is not here, or the remote does not take it */
  push(request: PushRequest, options?: SyncOptions): Promise<PushSummary>
  /** Looks whether remotes can be used: the named ones (names or URLs), or all of the settings. */
  checkRemotes(remotes: readonly string[], options?: AbortOptions): Promise<readonly RemoteCheck[]>
  /** The node's sources in the order in which they are asked. */
  sources(): Promise<readonly SourceStatus[]>
}
