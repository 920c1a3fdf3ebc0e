import { throwIfAborted } from '../../ingest/abort.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { PackageStore } from '../../store/api.ts'
import { errorCode, errorMessage } from '../../util/errors.ts'
import { MIRROR_CHUNK } from '../limits.ts'
import type { RepositoryLink } from '../source/repository-link.ts'
import type { Puller, PullOptions, PullResult } from './puller.ts'

/** Failures that are one package's and not the source's: the others are pulled all the same. */
const PACKAGE_FAULTS: ReadonlySet<string> = new Set([
  'ERR_UNTRUSTED',
  'ERR_STORED_NARINFO',
  'ERR_PACKAGE_UNAVAILABLE',
  'ERR_NAR_MISMATCH',
  'ERR_TREE_NOT_PACKAGE',
  'ERR_COMMIT_MISMATCH',
  'ERR_CONTENT_ADDRESS_MISMATCH',
  'ERR_BUDGET_EXCEEDED',
])

export interface MirrorOptions extends Omit<PullOptions, 'from'> {
  /** Which of the packages there are wanted; all by default. What they refer to comes in any case. */
  readonly wanted?: (info: PathInfo) => boolean
}

export interface MirrorResult extends PullResult {
  /** Packages that were left out, because they may not be trusted or could not be proven. */
  readonly skipped: number
}

/**
 * Pulls everything that a repository has and that is wanted. A package that is refused is left out, and told of; it does not
 * keep the others from coming.
 *
 * @throws what the source throws when it fails as a whole; AbortedError
 */
export async function mirror(
  store: PackageStore,
  puller: Puller,
  link: RepositoryLink,
  options: MirrorOptions = {},
): Promise<MirrorResult> {
  const pass = options.signal ? { signal: options.signal } : {}
  const missing: string[] = []
  let present = 0
  await link.use(async (session) => {
    for await (const { hash, commit } of session.list(pass)) {
      if (commit === undefined) continue
      if (store.hasClosure(hash)) present++
      else missing.push(hash)
    }
  }, pass)
  const total = { added: 0, bytes: 0, received: 0, skipped: 0, sources: {} as Record<string, number> }
  const pull = async (hashes: readonly string[]): Promise<void> => {
    throwIfAborted(options.signal)
    if (hashes.length === 0) return
    try {
      const result = await puller.pull(hashes, { ...options, from: [link] })
      total.added += result.added
      total.bytes += result.bytes
      total.received += result.received
      for (const [name, count] of Object.entries(result.sources)) {
        total.sources[name] = (total.sources[name] ?? 0) + count
      }
    } catch (error) {
      if (!PACKAGE_FAULTS.has(errorCode(error))) throw error
      const [only] = hashes
      if (hashes.length === 1 && only !== undefined) {
        total.skipped++
        options.onEvent?.({
          type: 'skipped',
          path: only,
          code: errorCode(error),
          message: errorMessage(error),
        })
        return
      }
      // One of them is at fault: the half without it comes whole, and so on down to the one.
      const middle = Math.ceil(hashes.length / 2)
      await pull(hashes.slice(0, middle))
      await pull(hashes.slice(middle))
    }
  }
  for (let at = 0; at < missing.length; at += MIRROR_CHUNK) {
    const chunk = missing.slice(at, at + MIRROR_CHUNK)
    await pull(options.wanted === undefined ? chunk : await choose(link, chunk, options.wanted, pass))
  }
  return { ...total, present }
}

async function choose(
  link: RepositoryLink,
  hashes: readonly string[],
  wanted: (info: PathInfo) => boolean,
  pass: { signal?: AbortSignal },
): Promise<string[]> {
  const { found } = await link.health.observe(() => link.find(hashes, pass))
  return hashes.filter((hash) => {
    const known = found.get(hash)
    return known !== undefined && wanted(known.info)
  })
}
