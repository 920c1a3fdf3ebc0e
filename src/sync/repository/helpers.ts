import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Announced, Giver } from './giver.ts'

/**
 * Others who may have the packages of a transfer. Each is asked whether it has them when its help is wanted, and once: most transfers
 * need none.
 */
export class Helpers {
  readonly givers: readonly Giver[]
  readonly #able = new Set<Giver>()
  readonly #packages: readonly Announced[]
  readonly #answers = new Map<Giver, Promise<boolean>>()

  constructor(givers: readonly Giver[], packages: readonly Announced[]) {
    this.givers = givers
    this.#packages = packages
  }

  /** Those who have said that they have all of it. */
  get able(): ReadonlySet<Giver> {
    return this.#able
  }

  /** Asks those who have not been asked, and tells of each that is able. */
  recruit(join: (giver: Giver) => void, options: AbortOptions): void {
    for (const giver of this.givers) {
      void this.#canHelp(giver, options).then((can) => {
        if (can) join(giver)
      })
    }
  }

  /** Whether any of these can help; nobody else is waited for once one has said so. Never throws. */
  async canAny(givers: readonly Giver[], options: AbortOptions): Promise<boolean> {
    const able = givers.map(async (giver) => {
      if (!(await this.#canHelp(giver, options))) throw new Error('cannot help')
    })
    return Promise.any(able).then(
      () => true,
      () => false,
    )
  }

  /** Whether one has all of the packages, with the same contents. Who cannot answer cannot help. Never throws. */
  #canHelp(giver: Giver, options: AbortOptions): Promise<boolean> {
    let answer = this.#answers.get(giver)
    if (answer === undefined) {
      answer = this.#ask(giver, options).catch(() => false)
      this.#answers.set(giver, answer)
    }
    return answer
  }

  async #ask(giver: Giver, options: AbortOptions): Promise<boolean> {
    const hashes = this.#packages.map(({ info }) => info.storePath.hash)
    const there = await giver.announced(hashes, options)
    // A commit names everything of its package; what its narinfo says was checked where the package was found.
    const can = this.#packages.every(({ info, commit }) => there.get(info.storePath.hash)?.commit === commit)
    if (can) this.#able.add(giver)
    return can
  }
}
