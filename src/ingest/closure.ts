import type { PathInfo } from '../nix/path-info.ts'
import type { StorePath } from '../nix/store-path.ts'
import type { PackageSource } from '../store/api.ts'
import { GachixError } from '../util/errors.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import { throwIfAborted } from './abort.ts'
import { concurrently } from './concurrently.ts'

/** Paths that a closure may have: a bound on what a source can make us remember. */
export const MAX_CLOSURE_PATHS = 1_000_000

/** A source does not have a path that was asked for, or that another of its paths refers to. */
export class PathNotFoundError extends GachixError {
  constructor(path: StorePath, source: string, referrer?: StorePath) {
    const why = referrer === undefined ? '' : `, although ${referrer} refers to it`
    super(
      'ERR_PATH_NOT_FOUND',
      `${path} is not a valid path of ${source}${why}; build or fetch it there first`,
    )
  }
}

/** What a source says cannot be a closure. */
export class ClosureInvalidError extends GachixError {
  constructor(message: string) {
    super('ERR_CLOSURE_INVALID', message)
  }
}

export interface WalkOptions extends AbortOptions {
  /** Questions that are under way at once; default 8. */
  readonly concurrency?: number
  /** Tells by its hash part that a path and all that it refers to are known: the walk leaves both out. */
  readonly has?: (hash: string) => boolean | Promise<boolean>
}

/**
 * Asks a source for everything that the roots refer to, breadth first, and returns it in an order in which
 * references come before what refers to them.
 *
 * @throws PathNotFoundError when the source lacks a path
 * @throws ClosureInvalidError when paths refer to each other in a circle, or are more than `MAX_CLOSURE_PATHS`
 * @throws GachixError whatever the source throws; `AbortedError` when the signal fires
 */
export async function walkClosure(
  source: PackageSource,
  roots: readonly StorePath[],
  options: WalkOptions = {},
): Promise<PathInfo[]> {
  const { signal, concurrency = 8, has } = options
  const pass: AbortOptions = signal ? { signal } : {}
  const infos = new Map<string, PathInfo>()
  const seen = new Set<string>()

  interface Step {
    readonly path: StorePath
    readonly referrer?: StorePath
  }
  const isNew = (path: StorePath) => seen.size !== seen.add(path.baseName).size
  const first = roots.filter(isNew).map((path): Step => ({ path }))

  await concurrently(first, concurrency, async ({ path, referrer }, push) => {
    throwIfAborted(signal)
    if (await has?.(path.hash)) return
    const info = await source.pathInfo(path, pass)
    if (info === undefined) throw new PathNotFoundError(path, source.name, referrer)
    infos.set(path.baseName, info)
    for (const reference of info.references) if (isNew(reference)) push({ path: reference, referrer: path })
    if (seen.size > MAX_CLOSURE_PATHS) {
      throw new ClosureInvalidError(`${source.name}: a closure of more than ${MAX_CLOSURE_PATHS} paths`)
    }
  })
  return referencesFirst(infos, roots)
}

/**
 * The infos in an order with references before referrers. References to what is not in `infos`, and of a path to
 * itself, do not count. The order follows from the infos alone, in whatever order the answers came.
 *
 * @param infos by base name
 * @throws ClosureInvalidError when paths refer to each other in a circle
 */
export function referencesFirst(
  infos: ReadonlyMap<string, PathInfo>,
  roots: readonly StorePath[],
): PathInfo[] {
  const ordered: PathInfo[] = []
  const state = new Map<string, 'open' | 'done'>()
  const trail: { readonly info: PathInfo; next: number }[] = []

  const enter = (path: StorePath) => {
    const name = path.baseName
    const info = infos.get(name)
    if (info === undefined || state.get(name) === 'done') return
    if (state.get(name) === 'open') {
      const names = trail.map((step) => step.info.storePath)
      const circle = names.slice(names.findIndex((each) => each.equals(path)))
      throw new ClosureInvalidError(
        `store paths that refer to each other in a circle: ${circle.join(' -> ')} -> ${path}`,
      )
    }
    state.set(name, 'open')
    trail.push({ info, next: 0 })
  }

  for (const root of roots) {
    enter(root)
    for (let step = trail.at(-1); step !== undefined; step = trail.at(-1)) {
      const reference = step.info.references[step.next++]
      if (reference === undefined) {
        trail.pop()
        state.set(step.info.storePath.baseName, 'done')
        ordered.push(step.info)
      } else if (!reference.equals(step.info.storePath)) {
        enter(reference)
      }
    }
  }
  return ordered
}
