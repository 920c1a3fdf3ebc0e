import type { Logger } from '../../util/log.ts'
import type { InventoryJournal } from '../inventory/journal.ts'
import { OwnInventory } from '../inventory/own-inventory.ts'
import { SharePolicy, type ShareSetting } from '../inventory/share-policy.ts'
import { type PathInfos, SharedClosures } from './shared-closures.ts'

/** What of the store the inventory is made of. */
export interface InventorySource extends PathInfos {
  /** Hash parts of the packages that have a commit: 20 bytes each, many in each piece; in no order. */
  hashes(): Iterable<Uint8Array>
  /** Whether a package is published with everything that it refers to; only such are told of. */
  hasClosure(hash: string): boolean
  /** Has a function told of the packages (hash parts) that changed; returns what ends that. */
  onChange(listener: (hashes: ReadonlySet<string>) => void): () => void
}

export interface SharedPackagesComponents {
  readonly source: InventorySource
  readonly journal: InventoryJournal
  readonly logger: Logger
}

/** Keeps the inventory that this node tells others of in step with its store. */
export class SharedPackages {
  readonly inventory: OwnInventory
  /** Whether every package is shared. */
  readonly all: boolean
  readonly #components: SharedPackagesComponents
  readonly #closures: SharedClosures
  readonly #unlisten: () => void
  #changed: () => void = () => {}
  /** Changes are taken in one after the other. */
  #work: Promise<void> = Promise.resolve()

  private constructor(
    components: SharedPackagesComponents,
    closures: SharedClosures,
    inventory: OwnInventory,
    all: boolean,
  ) {
    this.#components = components
    this.#closures = closures
    this.inventory = inventory
    this.all = all
    this.#unlisten = components.source.onChange((hashes) => this.#take([...hashes]))
  }

  /** @throws InventoryLogError */
  static async open(setting: ShareSetting, components: SharedPackagesComponents): Promise<SharedPackages> {
    const { source, journal } = components
    const policy = new SharePolicy(setting)
    const closures = new SharedClosures(policy, source)
    const feed = {
      hashes: () => source.hashes(),
      name: (hash: string) => closures.nameOf(hash),
    }
    // What changes while the inventory is made would be missed.
    const meanwhile = new Set<string>()
    const unlisten = source.onChange((hashes) => {
      for (const hash of hashes) meanwhile.add(hash)
    })
    try {
      const inventory = await OwnInventory.open({ feed, policy, journal }, Date.now())
      const shared = new SharedPackages(components, closures, inventory, setting === 'all')
      shared.#take([...meanwhile])
      return shared
    } finally {
      unlisten()
    }
  }

  /** Whether others may be told of a package (hash part) and get it. Answers from memory. */
  shares(hash: string): boolean {
    return this.inventory.shares(hash)
  }

  /** Has a function called whenever the inventory has changed. */
  onChanged(changed: () => void): void {
    this.#changed = changed
  }

  async close(): Promise<void> {
    this.#unlisten()
    await this.#work
    await this.inventory.close()
  }

  #take(hashes: readonly string[]): void {
    this.#work = this.#work
      .then(() => this.#apply(hashes))
      .catch((err: unknown) => this.#components.logger.error({ err }, 'peers are not told of all packages'))
  }

  async #apply(hashes: readonly string[]): Promise<void> {
    const { source } = this.#components
    const { log } = this.inventory
    const before = log.seq
    const published: { hash: string; name: string }[] = []
    for (const hash of hashes) {
      const name = source.hasClosure(hash) ? await this.#closures.nameOf(hash) : undefined
      if (name !== undefined) published.push({ hash, name })
    }
    await this.inventory.published(published)
    await this.inventory.removed(hashes.filter((hash) => !source.hasClosure(hash)))
    if (log.seq !== before) this.#changed()
  }
}
