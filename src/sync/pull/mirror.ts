import type { PathInfo } from '../../nix/path-info.ts'
import type { PackageStore } from '../../store/api.ts'
import { MIRROR_CHUNK } from '../limits.ts'
import type { RepositoryLink } from '../source/repository-link.ts'
import type { Puller, PullOptions, PullResult } from './puller.ts'
import { TolerantPull } from './tolerant-pull.ts'

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
  const pulling = new TolerantPull(puller, { ...options, from: [link], thorough: true })
  for (let at = 0; at < missing.length; at += MIRROR_CHUNK) {
    const chunk = missing.slice(at, at + MIRROR_CHUNK)
    await pulling.pull(options.wanted === undefined ? chunk : await choose(link, chunk, options.wanted, pass))
  }
  return { ...pulling.total, present }
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
