import { createHash } from 'node:crypto'

/** What a node lets others know and have: nothing, everything, or what its patterns say of a package's name. */
export type ShareSetting = 'off' | 'all' | readonly string[]

/**
 * Decides which packages are shared. It is asked at the source, before a package gets into the inventory from which everything that is
 * told comes; so what it refuses is named nowhere.
 */
export class SharePolicy {
  /** Equal for equal policies, 64 hexadecimal digits. */
  readonly id: string
  /** Whether names make a difference; without it `shares` may be asked with any name. */
  readonly needsNames: boolean
  readonly #includes: readonly string[]
  readonly #excludes: readonly string[]

  /**
   * @param setting patterns have `*` for any characters and `?` for one, and are held against the name of a store path without its
   *   hash part (`hello-2.12`). One that begins with `!` excludes. A package is shared when a pattern includes it, or there are only
   *   such that exclude, and none excludes it.
   */
  constructor(setting: ShareSetting) {
    this.id = createHash('sha256').update(JSON.stringify(setting)).digest('hex')
    const patterns = setting === 'all' ? ['*'] : setting === 'off' ? ['!*'] : setting
    const excludes = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1))
    const includes = patterns.filter((pattern) => !pattern.startsWith('!'))
    this.#includes = includes.length === 0 && excludes.length > 0 ? ['*'] : includes
    this.#excludes = excludes
    this.needsNames = Array.isArray(setting)
  }

  shares(name: string): boolean {
    const isMatch = (pattern: string): boolean => matches(pattern, name)
    return this.#includes.some(isMatch) && !this.#excludes.some(isMatch)
  }
}

/** Whether a name matches a pattern of `*` and `?`, in time that grows with the product of their lengths at most. */
function matches(pattern: string, name: string): boolean {
  let at = 0
  let next = 0
  /** Where the last star stands, and the end of what it stands for. */
  let star = -1
  let covered = 0
  while (at < name.length) {
    if (pattern[next] === '*') {
      star = next++
      covered = at
    } else if (pattern[next] === '?' || pattern[next] === name[at]) {
      next++
      at++
    } else if (star === -1) {
      return false
    } else {
      // the star stands for one character more
      next = star + 1
      at = ++covered
    }
  }
  while (pattern[next] === '*') next++
  return next === pattern.length
}
