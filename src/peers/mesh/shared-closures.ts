import type { PathInfo } from '../../nix/path-info.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { recent } from '../../util/recent.ts'
import type { SharePolicy } from '../inventory/share-policy.ts'

/** Packages whose verdict is remembered; each takes some hundred bytes. */
const MAX_VERDICTS = 100_000

/** What the store tells of a package by its hash part. */
export interface PathInfos {
  pathInfo(hash: string, options?: AbortOptions): Promise<PathInfo | undefined>
}

/**
 * Decides which packages can be shared at all: those whose names the policy shares, and with them all that they refer to, directly
 * or not. What a package refers to goes with it, so it must not be private.
 */
export class SharedClosures {
  readonly #policy: SharePolicy
  readonly #packages: PathInfos
  readonly #verdicts = recent<string, boolean>(MAX_VERDICTS)

  constructor(policy: SharePolicy, packages: PathInfos) {
    this.#policy = policy
    this.#packages = packages
  }

  /** The name of a published package (hash part) if it can be shared. */
  async nameOf(hash: string, options: AbortOptions = {}): Promise<string | undefined> {
    const info = await this.#packages.pathInfo(hash, options)
    if (info === undefined || !(await this.#shares(hash, options))) return undefined
    return info.storePath.name
  }

  async #shares(hash: string, options: AbortOptions): Promise<boolean> {
    if (!this.#policy.needsNames) return this.#policy.shares('')
    const stack = [hash]
    /** Packages whose references are being judged: those on the way from `hash` to the current one. */
    const path = new Set<string>()
    for (let current = stack.at(-1); current !== undefined; current = stack.at(-1)) {
      const verdict = this.#verdicts.get(current) ?? (await this.#judge(current, path, stack, options))
      if (verdict === undefined) continue
      if (!verdict) {
        // What refers to a private package is private.
        for (const referrer of path) this.#verdicts.set(referrer, false)
        return false
      }
      this.#verdicts.set(current, true)
      path.delete(current)
      stack.pop()
    }
    return true
  }

  /** The verdict on a package; `undefined` when others were put on the stack that have to be judged before. */
  async #judge(
    hash: string,
    path: Set<string>,
    stack: string[],
    options: AbortOptions,
  ): Promise<boolean | undefined> {
    // Met for the second time: its references have all been found to be shared.
    if (path.has(hash)) return true
    const info = await this.#packages.pathInfo(hash, options)
    if (info === undefined || !this.#policy.shares(info.storePath.name)) return false
    path.add(hash)
    const references = info.references.filter((reference) => !path.has(reference.hash))
    for (const reference of references) stack.push(reference.hash)
    return references.length === 0 ? true : undefined
  }
}
