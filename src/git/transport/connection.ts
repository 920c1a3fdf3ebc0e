/** How conversations with Git's services travel, apart from what is said in them. */
import type { PktReader } from '../protocol/pkt-line.ts'

export type GitService = 'git-upload-pack' | 'git-receive-pack'

/**
 * How the server is asked for version 2 of the protocol: not at all; in the way that the transport has for it (a variable,
 * a header); or within the command, for SSH servers that drop the variable and run commands in a shell.
 */
export type VersionRequest = 'none' | 'announced' | 'inline'

/** Bytes as they travel. */
export interface Traffic {
  received: number
  sent: number
}

/** How long a silent server is waited for, in milliseconds. */
export interface Patience {
  /** Until the first byte of an answer; connecting included. */
  readonly firstByte: number
  /** Between two bytes of an answer, and until it takes more of a request. */
  readonly stall: number
}

export interface ConnectContext {
  readonly traffic: Traffic
  readonly patience: Patience
  readonly signal?: AbortSignal
}

/** One conversation with a service. */
export interface GitConnection {
  /** What the server says before it is asked anything. */
  readonly greeting: PktReader
  /** Whether the server forgets between requests (HTTP). */
  readonly stateless: boolean
  /**
   * Sends a request and gives the reader of its answer. What fails in sending fails the reader. Requests follow one
   * another.
   */
  exchange(request: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<PktReader>
  /**
   * Ends the conversation and waits until nothing of it is left, no child process either. With a reason everything that
   * runs on it fails with that; without one the server is let go in peace. Idempotent.
   */
  close(reason?: Error): Promise<void>
}

/** A way to a repository. */
export interface GitTransport {
  readonly kind: 'ssh' | 'http' | 'file'
  /** For messages; without password. */
  readonly name: string
  /** The ways of asking for version 2, the one to try first at the head. */
  readonly versionRequests: readonly VersionRequest[]
  /** @throws GachixError that says why it is not possible; other failures show when the greeting is read */
  connect(service: GitService, version: VersionRequest, context: ConnectContext): Promise<GitConnection>
}
