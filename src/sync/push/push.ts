import { packageRef } from '../../git/refs/package-refs.ts'
import { throwIfAborted } from '../../ingest/abort.ts'
import { referencesFirst } from '../../ingest/closure.ts'
import type { GitRemote } from '../../ingest/remote/git-remote.ts'
import type { PushedRef, PushUpdate } from '../../ingest/remote/push.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { ObjectGiver, PackageStore, RemotePackage } from '../../store/api.ts'
import type { SyncEvent } from '../../store/sync-event.ts'
import { GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { narBytes, PACKAGES_A_REQUEST, PUSH_BYTES, PUSH_PACKAGES } from '../limits.ts'

/** A package to be pushed is not here, or not with everything that it refers to. */
export class IncompleteClosureError extends GachixError {
  constructor(hash: string, referrer?: PathInfo) {
    super(
      'ERR_CLOSURE_INCOMPLETE',
      referrer === undefined
        ? `package ${hash} is not here with everything that it refers to, so it cannot be pushed; add or sync it first`
        : `${referrer.storePath} refers to package ${hash}, which is not here with its closure; add or sync it first`,
    )
  }
}

/** A remote did not take what was pushed. */
export class PushRefusedError extends GachixError {
  constructor(remote: string, { ref, reason }: PushedRef) {
    super('ERR_PUSH_REFUSED', `${remote} refused ${ref}: ${reason ?? 'without a reason'}`)
  }
}

export interface PushOptions extends AbortOptions {
  readonly onEvent?: (event: SyncEvent) => void
}

export interface PushResult {
  /** Packages that the remote did not have, and their NAR bytes. */
  readonly added: number
  readonly bytes: number
  readonly present: number
  /** Refs that have another value on the remote and were left alone, most often a narinfo with other signatures. */
  readonly differing: number
  readonly sent: number
}

/**
 * Pushes closures to a Git repository, so that it can be pulled from or restored from. What the repository has is left
 * alone.
 *
 * @param roots hash parts; none means all packages that are here with their closure
 * @throws IncompleteClosureError, PushRefusedError, what the remote throws; complete batches stay there
 */
export async function pushClosures(
  store: PackageStore & ObjectGiver,
  remote: GitRemote,
  roots: readonly string[],
  options: PushOptions = {},
): Promise<PushResult> {
  const closure = await closureOf(store, roots, options)
  const there = await whatIsThere(remote, closure, options)
  const missing = closure.filter(({ storePath: { hash } }) => {
    const remotely = there.get(hash)
    return remotely?.commit === undefined || remotely.commit !== store.commitOf(hash)
  })
  options.onEvent?.({
    type: 'closure',
    paths: closure.length,
    bytes: narBytes(closure),
    missing: missing.length,
    missingBytes: narBytes(missing),
  })
  let sent = 0
  let differing = 0
  for (const batch of batches(missing)) {
    throwIfAborted(options.signal)
    const outcome = await pushBatch(store, remote, batch, options)
    sent += outcome.sent
    differing += outcome.differing
    for (const { storePath, narSize } of batch) {
      options.onEvent?.({ type: 'package', path: storePath.toString(), narSize, outcome: 'added' })
    }
  }
  return {
    added: missing.length,
    bytes: narBytes(missing),
    present: closure.length - missing.length,
    differing,
    sent,
  }
}

/** The packages and all that they refer to, references first. */
async function closureOf(
  store: PackageStore,
  roots: readonly string[],
  options: AbortOptions,
): Promise<PathInfo[]> {
  const infos = new Map<string, PathInfo>()
  const open = (roots.length > 0 ? [...roots] : complete(store)).map((hash) => ({
    hash,
    referrer: undefined as PathInfo | undefined,
  }))
  const seen = new Set(open.map(({ hash }) => hash))
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    throwIfAborted(options.signal)
    const { hash, referrer } = next
    const info = store.hasClosure(hash) ? await store.pathInfo(hash, options) : undefined
    if (info === undefined) throw new IncompleteClosureError(hash, referrer)
    infos.set(info.storePath.baseName, info)
    for (const reference of info.references) {
      if (seen.has(reference.hash)) continue
      seen.add(reference.hash)
      open.push({ hash: reference.hash, referrer: info })
    }
  }
  return referencesFirst(
    infos,
    [...infos.values()].map(({ storePath }) => storePath),
  )
}

function complete(store: PackageStore): string[] {
  const hashes: string[] = []
  for (const { hash, commit } of store.entries()) if (commit !== undefined) hashes.push(hash)
  return hashes
}

async function whatIsThere(
  remote: GitRemote,
  closure: readonly PathInfo[],
  options: AbortOptions,
): Promise<Map<string, RemotePackage>> {
  const there = new Map<string, RemotePackage>()
  const session = await remote.open(options)
  try {
    const hashes = closure.map(({ storePath }) => storePath.hash)
    for (let at = 0; at < hashes.length; at += PACKAGES_A_REQUEST) {
      const part = await session.packages(hashes.slice(at, at + PACKAGES_A_REQUEST), options)
      for (const [hash, found] of part) there.set(hash, found)
    }
  } finally {
    await session.close()
  }
  return there
}

function* batches(infos: readonly PathInfo[]): Generator<readonly PathInfo[]> {
  let batch: PathInfo[] = []
  let bytes = 0
  for (const info of infos) {
    if (batch.length === PUSH_PACKAGES || (bytes + info.narSize > PUSH_BYTES && batch.length > 0)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(info)
    bytes += info.narSize
  }
  if (batch.length > 0) yield batch
}

async function pushBatch(
  store: PackageStore & ObjectGiver,
  remote: GitRemote,
  batch: readonly PathInfo[],
  options: AbortOptions,
): Promise<{ sent: number; differing: number }> {
  const inside = new Set(batch.map(({ storePath }) => storePath.hash))
  const updates: PushUpdate[] = []
  const wants: string[] = []
  const haves = new Set<string>()
  for (const { storePath, references } of batch) {
    const { hash } = storePath
    const own = store.announced(hash)
    if (own?.commit === undefined) throw new IncompleteClosureError(hash)
    // A package is published by its narinfo, so that comes last where refs are changed one by one.
    updates.push({ ref: packageRef(hash, 'result'), oid: own.commit })
    updates.push({ ref: packageRef(hash, 'narinfo'), oid: own.narinfo })
    wants.push(own.commit, own.narinfo)
    for (const reference of references) {
      const commit = inside.has(reference.hash) ? undefined : store.commitOf(reference.hash)
      if (commit !== undefined) haves.add(commit)
    }
  }
  const pack = () => store.pack({ wants, haves: [...haves] }, options)
  const { refs, bytesSent } = await remote.push({ updates, pack }, options)
  const refused = refs.find(({ outcome }) => outcome === 'refused')
  if (refused !== undefined) throw new PushRefusedError(remote.name, refused)
  return { sent: bytesSent, differing: refs.filter(({ outcome }) => outcome === 'differs').length }
}
