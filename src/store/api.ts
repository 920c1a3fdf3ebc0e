/**
 * The interfaces through which the rows above the store meet it and each other. Types only: implementations are held
 * to them by the suites in `test/compliance/`.
 */
import type { PathInfo } from '../nix/path-info.ts'
import type { StorePath } from '../nix/store-path.ts'
import type { AbortOptions } from '../util/lifecycle.ts'

/** Anything that can be asked for packages: the store itself, a Nix daemon, a peer, a remote, an upstream cache. */
export interface PackageSource {
  /** Name for messages, for instance `store`, `local daemon` or a peer's name. */
  readonly name: string

  /**
   * What the source says of a path; `undefined` when it does not have it. A `StorePath` must match in hash and name; a
   * bare hash part (32 nix32 characters) is answered whatever the name.
   */
  pathInfo(path: StorePath | string, options?: AbortOptions): Promise<PathInfo | undefined>

  /** The uncompressed NAR of a path that the source has. Chunks of any size; throws when it cannot be finished. */
  nar(info: PathInfo, options?: AbortOptions): AsyncIterable<Uint8Array>
}

/** The two ways in which a NAR can be read from the store. */
export type NarEncoding = 'none' | 'gzip'

/** A half-open byte range `[start, end)`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** One NAR in one encoding, ready to be read any number of times, in whole or in part. */
export interface NarBody {
  readonly encoding: NarEncoding
  /** Length of the encoded body in bytes, exact. */
  readonly size: number
  /** Identifies the exact bytes of this body: two bodies with one id are equal byte for byte. Letters and digits. */
  readonly id: string
  /** The bytes, or the given part of them, in chunks of at most 256 KiB (the last may be shorter). */
  read(range?: ByteRange, options?: AbortOptions): AsyncIterable<Uint8Array>
}

/** The spliced gzip form of a package's NAR: exact for the bytes that the repository holds now. */
export interface GzipFacts {
  /** `NarBody.id` of the gzip body, part of the URL in the served narinfo. */
  readonly id: string
  readonly size: number
  /** SHA-256 of the gzip body, 32 bytes. */
  readonly sha256: Uint8Array
}

/** A published package. */
export interface StoredPackage {
  readonly info: PathInfo
  /** Git tree id of the contents, 40 hex digits. */
  readonly tree: string
  /** Commit id; absent when the package was added alone while its references are missing (`add --single`). */
  readonly commit?: string
  /** Present once the package's gzip form has been worked out; until then only the plain NAR is offered. */
  readonly gzip?: GzipFacts
}

export interface PackageEntry {
  readonly hash: string
  /** Git object id of the narinfo blob. */
  readonly narinfo: string
  readonly commit?: string
}

/** What came of handing one package to an ingest session. */
export type IngestOutcome = 'added' | 'present'

export interface IngestOptions extends AbortOptions {
  /**
   * Publish this package although references are missing from the store. Without it such a package waits until the
   * session has its references, and fails with `ERR_MISSING_REFERENCE` when the session ends without them.
   */
  readonly single?: boolean
}

/**
 * One stretch of adding packages. Packages may be added in any order and concurrently; a package is published (visible
 * to readers) only when it is on disk and all of its references are published before it.
 */
export interface IngestSession {
  /** Bytes by which the repository has grown so far: packs and their indexes. */
  readonly bytesWritten: number
  /**
   * Reads the NAR, checks it against `info.narHash` and `info.narSize`, and stores it. Resolves once the package is
   * *stored*, that is verified and written; it is *published* at the latest when `finish()` resolves. On failure nothing of the
   * package remains and the session goes on.
   *
   * @throws GachixError `ERR_NAR_MISMATCH`, `ERR_NAR_INVALID`, whatever the source throws
   */
  add(info: PathInfo, nar: AsyncIterable<Uint8Array>, options?: IngestOptions): Promise<IngestOutcome>
  /** Publishes what is stored and ends the session. Throws when a stored package could not be published. */
  finish(): Promise<void>
  /** Drops everything that is not published yet. Safe to call after `finish()`. */
  abort(): Promise<void>
}

/** A node's own packages. */
export interface PackageStore extends PackageSource {
  /** Nix store directory of the packages, for instance `/nix/store`. */
  readonly storeDir: string
  /** Number of published packages. */
  readonly size: number
  /** Whether a package with this hash part is published. Answers from memory. */
  has(hash: string): boolean
  /** Whether it is published together with everything that it refers to: all but what was added `single`. */
  hasClosure(hash: string): boolean
  /** Published packages in order of their hash parts. */
  entries(): Iterable<PackageEntry>
  package(hash: string, options?: AbortOptions): Promise<StoredPackage | undefined>
  /** The NAR of a tree in the repository; `undefined` when there is no such tree, or not in this encoding. */
  openNar(tree: string, encoding: NarEncoding, options?: AbortOptions): Promise<NarBody | undefined>
  /** The package's `.ls` listing (version 1) as JSON text. */
  listing(hash: string, options?: AbortOptions): Promise<string | undefined>
  ingest(): IngestSession
}
