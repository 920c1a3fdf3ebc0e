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
  /**
   * Takes back the memory of a chunk that `read` gave and that nobody looks at any more, to be used for further ones. Chunks that
   * are not given back are garbage as any other; giving them back saves the work of collecting them.
   */
  recycle?(chunk: Uint8Array): void
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
  /** Git id of its commit, when it is published with its closure. Answers from memory. */
  commitOf(hash: string): string | undefined
  /** Published packages in order of their hash parts. */
  entries(): Iterable<PackageEntry>
  package(hash: string, options?: AbortOptions): Promise<StoredPackage | undefined>
  /** The NAR of a tree in the repository; `undefined` when there is no such tree, or not in this encoding. */
  openNar(tree: string, encoding: NarEncoding, options?: AbortOptions): Promise<NarBody | undefined>
  /** The package's `.ls` listing (version 1) as JSON text. */
  listing(hash: string, options?: AbortOptions): Promise<string | undefined>
  ingest(): IngestSession
  /**
   * Opens the quarantine of this name, with what it held when it was last used. One use at a time for each name.
   *
   * @throws GachixError `ERR_QUARANTINE_IN_USE`
   */
  quarantine(name: string): Promise<Quarantine>
}

/** The repository itself, for Git clients that fetch from it. */
export interface GitService {
  /** What the server side says first in this version of Git's protocol. */
  advertise(version: 0 | 1 | 2, options?: AbortOptions): AsyncIterable<Uint8Array>
  /** The answer to one request of `git-upload-pack`, in chunks of at most 256 KiB. What is wrong with the request is said in it. */
  answer(
    request: AsyncIterable<Uint8Array>,
    version: 0 | 1 | 2,
    options?: AbortOptions,
  ): AsyncIterable<Uint8Array>
}

/** What the refs of a repository elsewhere say of a package. Hints: only admission proves anything. */
export interface RemotePackage {
  readonly hash: string
  /** Git object id of the narinfo blob. */
  readonly narinfo: string
  /** Commit id; absent when the other side has the package without its references. */
  readonly commit?: string
}

/** A narinfo blob as it came. */
export interface SentNarInfo {
  readonly hash: string
  readonly blob: Uint8Array
}

/** What is asked of a repository elsewhere. */
export interface FetchRequest {
  /** Objects to send: commits with their trees and ancestors, trees with all below them, single blobs. */
  readonly wants: readonly string[]
  /** Commits that the receiver has with everything that they reach; none of that is sent. */
  readonly haves: readonly string[]
  /** Leave out every blob but those that `wants` names: Git's filter `blob:none`. For a `selective` session only. */
  readonly omitBlobs?: boolean
}

export interface PackOptions extends AbortOptions {
  /** Use the memory of a chunk again: it is valid until the next is asked for. Without it chunks are the receiver's own. */
  readonly reuse?: boolean
}

/** What a store gives to others that have one of their own. */
export interface ObjectGiver {
  /** What the refs say of a package here. Answers from memory. */
  announced(hash: string): RemotePackage | undefined
  /** The asked-for objects as one packfile, in chunks of at most 256 KiB, without deltas. */
  pack(request: FetchRequest, options?: PackOptions): AsyncIterable<Uint8Array>
}

/** One conversation with a repository elsewhere. Requests follow one another; only one runs at a time. */
export interface RepositorySession {
  /**
   * Whether single objects of any kind can be wanted, and blobs omitted. Without it only what a ref names can be
   * wanted, and comes with everything that it reaches.
   */
  readonly selective: boolean
  /** Bytes received and sent so far, as they travel. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** What the other side has of these packages (hash parts), by hash part. One round trip for any number of them. */
  packages(hashes: readonly string[], options?: AbortOptions): Promise<ReadonlyMap<string, RemotePackage>>
  /** Everything that the other side has. */
  list(options?: AbortOptions): AsyncIterable<RemotePackage>
  /**
   * Narinfo blobs of these packages (hash parts), where the other side sends them by themselves; what it does not have is left out. May run
   * beside `packages`.
   */
  narinfos?(hashes: readonly string[], options?: AbortOptions): AsyncIterable<SentNarInfo>
  /**
   * The asked-for objects as one packfile (Git's pack format, version 2), in chunks of any size, each valid until the next is asked
   * for. Complete when the iteration ends without an error. What it holds is not checked here.
   */
  fetch(request: FetchRequest, options?: AbortOptions): AsyncIterable<Uint8Array>
  /** Lets the connection go; what runs on it fails. Idempotent. */
  close(): Promise<void>
}

/** A repository elsewhere in gachix's format: a Git remote, or a peer's. */
export interface RepositorySource {
  /** Name for messages. */
  readonly name: string
  /** Whether a further session costs nothing, so that work may go on in several. */
  readonly hasCheapSessions?: boolean
  /** @throws GachixError that says why it cannot be reached, and what to do */
  open(options?: AbortOptions): Promise<RepositorySession>
}

/** Bounds on one pack from elsewhere. Each is checked before anything of that size is allocated or written. */
export interface ReceiveLimits {
  readonly objects: number
  /** Length of the pack. */
  readonly packBytes: number
  /** Sum of the sizes of all objects, inflated and with deltas applied. */
  readonly inflatedBytes: number
}

/** What came of taking in a pack. */
export interface ReceivedPack {
  readonly objects: number
  /** Length of the pack as it came. */
  readonly bytes: number
}

export interface AdmitOptions extends AbortOptions {
  /**
   * Also prove that the contents are those that the path's content address names. For a path that nobody trusted has signed:
   * its address, unlike its NAR hash, cannot be made up.
   */
  readonly proveContentAddress?: boolean
}

/** How a pack is taken in. */
export interface ReceiveOptions extends AbortOptions {
  /** Ids of blobs in the order in which they should come, for `expect`; another order does no harm. */
  readonly order?: readonly string[]
}

/** A package with the tree that is announced for it. */
export interface AnnouncedContents {
  readonly info: PathInfo
  readonly tree: string
}

/**
 * Objects from elsewhere that wait to be proven. Nothing in quarantine is visible to readers of the store. What it holds
 * survives a crash, so that an interrupted transfer goes on where it was.
 */
export interface Quarantine {
  /** Milliseconds that whatever takes in packs has worked, since some point in the past that may change when it is at rest. */
  readonly worked: number
  /** Whether an object is here or in the store. */
  has(oid: string): boolean
  /** An object that is here or in the store, of at most `maxSize` bytes. */
  read(oid: string, options: AbortOptions & { maxSize: number }): Promise<{ type: string; data: Buffer }>
  /**
   * Takes in one pack: every object is inflated and hashed, deltas are resolved (their bases may be here or in the store).
   * When the pack breaks off, the objects that arrived whole stay, and the error is thrown.
   *
   * @throws GachixError `ERR_PACK_INVALID`, `ERR_BUDGET_EXCEEDED`, whatever the source throws
   */
  receive(
    pack: AsyncIterable<Uint8Array>,
    limits: ReceiveLimits,
    options?: ReceiveOptions,
  ): Promise<ReceivedPack>
  /**
   * The blobs of packages that are neither here nor in the store: for each package a list of ids in the order of its NAR, without those that
   * an earlier one has. All their trees must be here. What comes of a package in this order is hashed for its proof as it comes.
   *
   * @throws GachixError `ERR_TREE_NOT_PACKAGE` for a tree that cannot be a package's contents
   */
  expect(packages: readonly AnnouncedContents[], options?: AbortOptions): Promise<string[][]>
  /**
   * The blobs (ids, each once) below a tree that are neither here nor in the store. All trees below it must be here.
   *
   * @throws GachixError `ERR_TREE_NOT_PACKAGE` for a tree that cannot be a package's contents
   */
  missingBlobs(tree: string, options?: AbortOptions): Promise<string[]>
  /**
   * Proves a package: walks its tree, makes its NAR anew and compares size and SHA-256 with `info`, rebuilds the commit from
   * `info` and compares it with the announced one. Its references must be published or admitted here before. Signatures are not this
   * method's business: whoever calls has found `info` trustworthy.
   *
   * @param commit the announced commit, which names the tree
   * @throws GachixError `ERR_NAR_MISMATCH`, `ERR_TREE_NOT_PACKAGE`, `ERR_COMMIT_MISMATCH`, `ERR_MISSING_REFERENCE`,
   *   `ERR_CONTENT_ADDRESS_MISMATCH`
   */
  admit(info: PathInfo, commit: string, options?: AdmitOptions): Promise<IngestOutcome>
  /** Publishes what was admitted, all or none: pack, then refs. Only what the admitted packages reach leaves quarantine. */
  publish(options?: AbortOptions): Promise<void>
  /** Ends the use of the quarantine. What was received stays for the next one, within the bound on its disk space. */
  close(): Promise<void>
}

/** A package that is on its way. */
export interface ExpectedPackage {
  readonly info: PathInfo
  /**
   * Whether a trusted key has signed `info`, so that the node may say the same before it has seen the content. Otherwise nothing
   * is said of the package until it is published.
   */
  readonly vouched: boolean
}

/** Gets packages that clients ask for and that are not here: the way from a miss to the node's sources. */
export interface OnDemand {
  /**
   * What is known of a package that can be had. Its closure is on its way then. `undefined` when nobody has it who may be believed.
   * Answers within 2 seconds, whatever the sources do; never throws for their failures.
   */
  find(hash: string, options?: AbortOptions): Promise<ExpectedPackage | undefined>
  /**
   * Waits for a package until it is published, and tells whether it is: `false` when it cannot be had, or when nothing comes
   * for two seconds. Never throws for the failures of sources.
   */
  arrival(hash: string, options?: AbortOptions): Promise<boolean>
}
