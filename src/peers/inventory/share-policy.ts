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
  readonly #includes: readonly RegExp[]
  readonly #excludes: readonly RegExp[]

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
    this.#includes = (includes.length === 0 && excludes.length > 0 ? ['*'] : includes).map(expression)
    this.#excludes = excludes.map(expression)
    this.needsNames = Array.isArray(setting)
  }

  /** Whether names make a difference; without it `shares` may be asked with any name. */
  readonly needsNames: boolean

  shares(name: string): boolean {
    return (
      this.#includes.some((pattern) => pattern.test(name)) &&
      !this.#excludes.some((pattern) => pattern.test(name))
    )
  }
}

function expression(pattern: string): RegExp {
  // stretches of stars mean what one means, and would make matching slow
  const escaped = pattern.replace(/\*+/g, '*').replace(/[.+^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's')
}
