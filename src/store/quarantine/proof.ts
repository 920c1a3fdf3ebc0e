import { createHash, type Hash } from 'node:crypto'
import { createGunzip, gunzipSync } from 'node:zlib'
import { parseCommit } from '../../git/commit.ts'
import type { ObjectDatabase } from '../../git/object-database.ts'
import { MalformedObjectError } from '../../git/object-errors.ts'
import { hashObject, type Oid } from '../../git/oid.ts'
import { ContentAddressMismatchError, createContentCheck } from '../../nix/content-check.ts'
import { formatHash } from '../../nix/hash.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { releaseEnd } from '../../util/release.ts'
import type { NarBody } from '../api.ts'
import type { StoredGzipFacts } from '../facts.ts'
import { inflatedBy } from '../inflated-stream.ts'
import { MissingReferenceError, NarMismatchError } from '../ingest/errors.ts'
import type { NarBodies } from '../nar-body.ts'
import { packageCommit } from '../package-commit.ts'
import type { NarPlan } from '../plan.ts'
import type { SpliceRecords } from '../splice-records.ts'
import { CommitMismatchError } from './errors.ts'
import type { HashedNar } from './receiving/messages.ts'
import { planOf } from './walks.ts'

/** A commit of a package with thousands of references has some hundred KB. */
const MAX_COMMIT_SIZE = 16 * 1024 * 1024
/** NARs up to this size are inflated at once; larger ones in pieces, off the main thread. */
const SMALL_NAR = 256 * 1024
const PIECE = 256 * 1024

/** Where a proof finds what it needs. */
export interface ProofComponents {
  /** Objects of the quarantine and of the store. */
  readonly database: ObjectDatabase
  readonly records: SpliceRecords
  /** Makes bodies of what `database` has. */
  readonly bodies: NarBodies
  /** The commit of a package that is published or has been admitted. */
  readonly commitOf: (hash: string) => Oid | undefined
  /** What is known of a tree's NAR because its blobs were hashed in this order when they came. */
  readonly hashedNar: (tree: Oid) => HashedNar | undefined
}

export interface ProofOptions {
  signal?: AbortSignal | undefined
  proveContentAddress?: boolean | undefined
}

/** What a proof has come upon, and need not be found out again. */
export interface Proof {
  readonly tree: Oid
  /** All objects of the package, as `packageObjects` gives them. */
  readonly objects: readonly Oid[]
  /** The plan of its NAR, of the objects as the quarantine has them. */
  readonly plan: NarPlan
  /** The facts about the plan's gzip form, when the NAR was read by way of it. */
  readonly gzip: StoredGzipFacts | undefined
}

/**
 * Proves that a commit is a package's: see `Quarantine.admit`.
 *
 * @throws NarMismatchError, TreeNotPackageError, CommitMismatchError, MissingReferenceError, ContentAddressMismatchError
 */
export async function provePackage(
  info: PathInfo,
  commit: Oid,
  components: ProofComponents,
  options: ProofOptions,
): Promise<Proof> {
  const tree = await proveCommit(info, commit, components, options.signal)
  return await proveContents(info, tree, components, options)
}

/** Rebuilds the commit from the path's facts; gives the tree that it names. */
async function proveCommit(
  info: PathInfo,
  announced: Oid,
  { database, commitOf }: ProofComponents,
  signal: AbortSignal | undefined,
): Promise<Oid> {
  const { storePath } = info
  const { type, data } = await database.read(announced, {
    maxSize: MAX_COMMIT_SIZE,
    ...(signal && { signal }),
  })
  if (type !== 'commit') throw new CommitMismatchError(storePath, announced, `it is a ${type}`)
  const references = info.references.filter(({ hash }) => hash !== storePath.hash)
  const missing = references.filter(({ hash }) => commitOf(hash) === undefined)
  if (missing.length > 0) throw new MissingReferenceError(storePath, missing)
  const parents = references.map(({ hash }) => commitOf(hash)!)
  const found = parse(info, announced, data)
  if (hashObject('commit', packageCommit(storePath, found.tree, parents)) === announced) return found.tree
  const isParents = found.parents.join() === parents.join()
  throw new CommitMismatchError(
    storePath,
    announced,
    isParents
      ? 'its author, committer or message are others than gachix writes'
      : `its parents are not the commits of the ${references.length} references`,
  )
}

function parse(info: PathInfo, oid: Oid, data: Buffer): ReturnType<typeof parseCommit> {
  try {
    return parseCommit(data)
  } catch (error) {
    if (!(error instanceof MalformedObjectError)) throw error
    throw new CommitMismatchError(info.storePath, oid, error.message)
  }
}

/** Makes the NAR anew and compares it with the path's facts. */
async function proveContents(
  info: PathInfo,
  tree: Oid,
  { database, records, bodies, hashedNar }: ProofComponents,
  options: ProofOptions,
): Promise<Proof> {
  const hashed = hashedNar(tree)
  const { plan, objects } = await planOf(database, records, tree, info, options.signal)
  const expected = formatHash(info.narHash, 'nix32')
  if (hashed !== undefined && plan.canonical && options.proveContentAddress !== true && isNar(hashed, info))
    return { tree, objects, plan, gzip: await gzipFacts(plan, bodies, options.signal) }
  // The spliced form is one stream to inflate, where the plain one is one for each file.
  if (plan.crc32 !== undefined) {
    const sha256 = createHash('sha256')
    const body = bodies.gzip(plan, plan.crc32)
    const spliced = { chunks: gunzipped(plan, body, sha256, options.signal), free: releaseEnd }
    if ((await hashOf(info, spliced, options).catch(() => '')) === expected) {
      const gzip = { id: plan.gzipId, size: plan.gzipSize, crc32: plan.crc32, sha256: sha256.digest() }
      return { tree, objects, plan, gzip }
    }
  }
  options.signal?.throwIfAborted()
  const plain = bodies.plain(plan)
  const nar = { chunks: plain.read(undefined, reading(options.signal)), free: plain.recycle }
  const actual = await hashOf(info, nar, options)
  if (actual !== expected) throw new NarMismatchError(info.storePath, 'the hash', expected, actual)
  return { tree, objects, plan, gzip: undefined }
}

/** Whether what came is the NAR. */
function isNar({ size, sha256 }: HashedNar, { narSize, narHash }: PathInfo): boolean {
  return size === narSize && Buffer.compare(sha256, narHash.digest) === 0
}

/** Facts about the gzip form of a NAR that is proven, and all of whose blobs can be spliced. */
async function gzipFacts(
  plan: NarPlan,
  bodies: NarBodies,
  signal: AbortSignal | undefined,
): Promise<StoredGzipFacts | undefined> {
  if (plan.crc32 === undefined) return undefined
  const sha256 = createHash('sha256')
  const body = bodies.gzip(plan, plan.crc32)
  for await (const chunk of body.read(undefined, reading(signal))) {
    sha256.update(chunk)
    body.recycle?.(chunk)
  }
  return { id: plan.gzipId, size: plan.gzipSize, crc32: plan.crc32, sha256: sha256.digest() }
}

/** A NAR that is read once. */
interface NarStream {
  readonly chunks: AsyncIterable<Uint8Array>
  /** Told of each chunk that was looked at. */
  readonly free: ((chunk: Uint8Array) => void) | undefined
}

async function hashOf(
  info: PathInfo,
  { chunks, free }: NarStream,
  { signal, proveContentAddress }: ProofOptions,
): Promise<string> {
  const hash = createHash('sha256')
  const check = proveContentAddress === true ? createContentCheck(info) : undefined
  if (proveContentAddress === true && check === undefined)
    throw new ContentAddressMismatchError(info.storePath, 'it has no content address that can be proven')
  let size = 0
  for await (const chunk of chunks) {
    signal?.throwIfAborted()
    size += chunk.length
    if (size > info.narSize) break
    hash.update(chunk)
    check?.update(chunk)
    free?.(chunk)
  }
  if (size !== info.narSize)
    throw new NarMismatchError(
      info.storePath,
      'a size of',
      String(info.narSize),
      `other than ${info.narSize}`,
    )
  const actual = formatHash({ algorithm: 'sha256', digest: hash.digest() }, 'nix32')
  if (actual === formatHash(info.narHash, 'nix32')) check?.finish()
  return actual
}

/** What a NAR's gzip form inflates to; all of the form goes into `sha256`. */
async function* gunzipped(
  plan: NarPlan,
  body: NarBody,
  sha256: Hash,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const chunks = hashed(body.read(undefined, reading(signal)), sha256)
  if (plan.narSize <= SMALL_NAR && body.size <= SMALL_NAR) {
    yield gunzipSync(Buffer.concat(await Array.fromAsync(chunks)), { maxOutputLength: plan.narSize + 1 })
    return
  }
  yield* inflatedBy(createGunzip({ chunkSize: PIECE }), chunks, (chunk) => body.recycle?.(chunk))
}

async function* hashed(chunks: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    hash.update(chunk)
    yield chunk
  }
}

function reading(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
