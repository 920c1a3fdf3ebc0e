import { throwIfAborted } from '../../ingest/abort.ts'
import { referencesFirst } from '../../ingest/closure.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { StorePath } from '../../nix/store-path.ts'
import type { PackageStore } from '../../store/api.ts'
import { GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { MAX_CLOSURE_PACKAGES } from '../limits.ts'
import { type Found, type SourceLink, verdictOf } from '../source/link.ts'
import { SOURCE_KINDS } from '../source/source.ts'
import { CannotStoreError, PackageUnavailableError, SourceFailedError } from './errors.ts'

/** A package to be fetched, and from whom. */
export interface Planned {
  readonly found: Found
  readonly link: SourceLink
  /** Other sources of the kind that have it as well, or are known to have something by its name. */
  readonly others: readonly SourceLink[]
}

/** What has to be fetched so that packages are here with everything that they refer to. */
export interface Plan {
  /** Missing packages, references first. */
  readonly missing: readonly Planned[]
  /** Hash parts of packages that the walk came upon and that are here with their closure. */
  readonly present: ReadonlySet<string>
}

export interface PlanOptions extends AbortOptions {
  /** Told of a source that could not answer; it is not asked again for this plan. */
  readonly onFailure?: (link: SourceLink, error: SourceFailedError) => void
  /** Ask every source, also for what it is not known to have. */
  readonly thorough?: boolean
  /** Sources that failed before: where a package cannot be had, they may be why. */
  readonly failed?: Iterable<SourceFailedError>
  /** Told of packages as they are found. */
  readonly onFound?: (planned: Planned) => void
}

/**
 * Finds out what is missing of closures and who has it. The closures are walked breadth first, so that sources are asked
 * about all packages of one distance from the roots together. The kinds are asked one after the other, and only about what none
 * before them has. Sources of one kind are asked at the same time; but of peers, who tell what they have, one is asked about each package,
 * and another one when that one cannot give it.
 *
 * @param roots hash parts
 * @throws PackageUnavailableError for a package that nobody has
 * @throws ClosureInvalidError, AbortedError
 */
export async function makePlan(
  store: PackageStore,
  links: readonly SourceLink[],
  roots: readonly string[],
  options: PlanOptions,
): Promise<Plan> {
  const planned = new Map<string, Planned>()
  const present = new Set<string>()
  const asking = new Asking(links, options)
  let level = new Set(roots)
  while (level.size > 0) {
    const open = [...level].filter((hash) => !planned.has(hash) && !present.has(hash))
    const unknown = open.filter((hash) => !store.hasClosure(hash))
    for (const hash of open) if (store.hasClosure(hash)) present.add(hash)
    level = new Set()
    for (const [hash, entry] of await asking.ask(unknown)) {
      planned.set(hash, entry)
      options.onFound?.(entry)
      for (const reference of entry.found.info.references) level.add(reference.hash)
    }
    if (planned.size > MAX_CLOSURE_PACKAGES) {
      throw new GachixError('ERR_CLOSURE_INVALID', `a closure of more than ${MAX_CLOSURE_PACKAGES} packages`)
    }
  }
  return { missing: inOrder(planned), present }
}

/** One plan's questions to the sources. */
class Asking {
  readonly #options: PlanOptions
  readonly #failed = new Map<SourceLink, SourceFailedError>()
  readonly #links: readonly SourceLink[]

  constructor(links: readonly SourceLink[], options: PlanOptions) {
    this.#links = links
    this.#options = options
  }

  /** Finds all the packages. @throws PackageUnavailableError */
  async ask(hashes: readonly string[]): Promise<Map<string, Planned>> {
    const result = new Map<string, Planned>()
    const refused: GachixError[] = []
    const open = () => hashes.filter((hash) => !result.has(hash))
    for (const kind of SOURCE_KINDS) {
      const links = this.#links.filter((link) => link.source.kind === kind)
      if (kind !== 'peer') await this.#askAll(links, open, result, refused)
      else {
        await this.#askKnowing(links, open(), result, refused)
        if (this.#options.thorough !== true) continue
        const unknown = (link: SourceLink) => open().filter((hash) => !link.mayHave(hash))
        await this.#askAll(links, unknown, result, refused)
      }
    }
    const lacking = hashes.find((hash) => !result.has(hash))
    if (lacking !== undefined) {
      const own = refused.filter(({ message }) => message.includes(lacking))
      const asked = this.#links.map(({ source }) => source.name)
      const reasons = new Set([...own, ...this.#failed.values(), ...(this.#options.failed ?? [])])
      throw new PackageUnavailableError(lacking, asked, [...reasons])
    }
    return result
  }

  /** Asks all sources at the same time. @param about what each of them is asked about */
  async #askAll(
    links: readonly SourceLink[],
    about: (link: SourceLink) => readonly string[],
    result: Map<string, Planned>,
    refused: GachixError[],
  ): Promise<void> {
    const sound = links.filter((link) => !this.#failed.has(link))
    const questions = sound.map((link) => about(link))
    const answers = await Promise.all(sound.map((link, i) => this.#askOne(link, questions[i]!, refused)))
    for (const hash of new Set(questions.flat())) choose(hash, sound, answers, result)
  }

  /** Asks about each package the first source that is known to have it, and the next one about what that one did not give. */
  async #askKnowing(
    links: readonly SourceLink[],
    hashes: readonly string[],
    result: Map<string, Planned>,
    refused: GachixError[],
  ): Promise<void> {
    const knowing = new Map(hashes.map((hash) => [hash, links.filter((link) => link.mayHave(hash))]))
    for (let open = hashes; open.length > 0; ) {
      const questions = Map.groupBy(open, (hash) => {
        const sound = knowing.get(hash)!.filter((link) => !this.#failed.has(link))
        knowing.set(hash, sound.slice(1))
        return sound[0]
      })
      questions.delete(undefined)
      const asking = [...questions].map(async ([link, asked]) => {
        for (const [hash, found] of await this.#askOne(link!, asked, refused))
          result.set(hash, { found, link: link!, others: knowing.get(hash)! })
      })
      await Promise.all(asking)
      open = [...questions.values()].flat().filter((hash) => !result.has(hash))
    }
  }

  async #askOne(
    link: SourceLink,
    hashes: readonly string[],
    refused: GachixError[],
  ): Promise<ReadonlyMap<string, Found>> {
    const { signal } = this.#options
    if (hashes.length === 0) return new Map()
    try {
      const findings = await link.health.observe(() => link.find(hashes, signal ? { signal } : {}))
      refused.push(...findings.refused)
      return findings.found
    } catch (cause) {
      throwIfAborted(signal)
      if (verdictOf(cause) === undefined) throw new CannotStoreError(cause)
      const error = new SourceFailedError(link.source.name, cause)
      this.#failed.set(link, error)
      this.#options.onFailure?.(link, error)
      return new Map()
    }
  }
}

/** Takes the first source that has the package; those that announce the same commit may help. */
function choose(
  hash: string,
  links: readonly SourceLink[],
  answers: readonly ReadonlyMap<string, Found>[],
  result: Map<string, Planned>,
): void {
  let first: { found: Found; link: SourceLink } | undefined
  const others: SourceLink[] = []
  for (const [i, link] of links.entries()) {
    const found = answers[i]!.get(hash)
    if (found === undefined) continue
    if (first === undefined) first = { found, link }
    else if (found.commit !== undefined && found.commit === first.found.commit) others.push(link)
  }
  if (first !== undefined) result.set(hash, { ...first, others })
}

function inOrder(planned: ReadonlyMap<string, Planned>): Planned[] {
  const infos = new Map<string, PathInfo>()
  const paths: StorePath[] = []
  for (const { found } of planned.values()) {
    infos.set(found.info.storePath.baseName, found.info)
    paths.push(found.info.storePath)
  }
  return referencesFirst(infos, paths).map(({ storePath }) => planned.get(storePath.hash)!)
}
