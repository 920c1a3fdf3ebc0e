import { HASH_BYTES, PREFIX_BYTES } from '../../../protocol/index.ts'
import { nix32Decode, nix32Encode } from '../../nix/base32.ts'
import { encodeChange, InventoryLog } from './inventory-log.ts'
import type { InventoryFeed, InventoryJournal } from './journal.ts'
import type { SharePolicy } from './share-policy.ts'
import { SortedRecords } from './sorted-records.ts'

/** Hash parts between two pauses while many are looked through: others get their turn. */
const HASHES_A_TURN = 4096

export interface OwnInventoryComponents {
  readonly feed: InventoryFeed
  readonly policy: SharePolicy
  readonly journal: InventoryJournal
}

/**
 * The node's own inventory: the packages of the store that are shared, as a durable log. Every change is filtered by the policy, then made
 * durable, then applied, so that no number is given out twice, whatever happens.
 */
export class OwnInventory {
  readonly log: InventoryLog
  readonly #policy: SharePolicy
  readonly #journal: InventoryJournal
  #last: Promise<void> = Promise.resolve()

  private constructor(log: InventoryLog, { policy, journal }: OwnInventoryComponents) {
    this.log = log
    this.#policy = policy
    this.#journal = journal
  }

  /**
   * Goes on with the log that is there and adds what has changed in the store since; begins a new epoch when there is none, when it is
   * damaged, or when the policy has changed. In an old epoch's log, packages would stay named that are private now.
   *
   * @param now milliseconds since 1970: number of a new epoch
   */
  static async open(components: OwnInventoryComponents, now: number): Promise<OwnInventory> {
    const { feed, policy, journal } = components
    const stored = await journal.load()
    if (stored !== undefined && stored.policy === policy.id) {
      const log = restored(stored)
      if (log !== undefined) {
        const inventory = new OwnInventory(log, components)
        await inventory.#catchUp(feed)
        return inventory
      }
    }
    const hashes = new SortedRecords(HASH_BYTES, PREFIX_BYTES)
    for await (const hash of shared(feed, policy, () => false)) hashes.add(hash)
    const epoch = Math.max(1, Math.floor(now), (stored?.epoch ?? 0) + 1)
    const state = InventoryLog.begin(epoch, hashes.bytes())
    await journal.replace({ ...state, policy: policy.id })
    return new OwnInventory(new InventoryLog(state), components)
  }

  /** Packages were published in the store. Resolves when the log has those that are shared. @param packages hash part and name */
  published(packages: readonly { readonly hash: string; readonly name: string }[]): Promise<void> {
    const shared = packages.filter(({ name }) => this.#policy.shares(name))
    return this.#change(shared.map(({ hash }) => encodeChange(true, nix32Decode(hash))))
  }

  /** Packages were removed from the store. @param hashes hash parts */
  removed(hashes: readonly string[]): Promise<void> {
    return this.#change(hashes.map((hash) => encodeChange(false, nix32Decode(hash))))
  }

  /** Begins a new epoch. @param epoch no change when it is not above the current one */
  renew(epoch: number): Promise<void> {
    return this.#inTurn(async () => {
      if (epoch <= this.log.epoch) return
      const state = InventoryLog.begin(epoch, Buffer.from(this.log.hashes()))
      await this.#journal.replace({ ...state, policy: this.#policy.id })
      this.log.renew(epoch)
    })
  }

  /** Whether a package is shared: others may be told of it and given it. @param hash hash part */
  shares(hash: string): boolean {
    return this.log.has(nix32Decode(hash))
  }

  /** Waits for changes under way. */
  async close(): Promise<void> {
    await this.#inTurn(() => this.#journal.close())
  }

  async #catchUp(feed: InventoryFeed): Promise<void> {
    const present = new SortedRecords(HASH_BYTES, PREFIX_BYTES)
    for await (const hash of paced(feed.hashes())) present.add(hash)
    const changes: Buffer[] = []
    const listed = this.log.hashes()
    for (let at = 0; at < listed.length; at += HASH_BYTES) {
      if (!present.has(listed, at)) changes.push(encodeChange(false, listed.subarray(at, at + HASH_BYTES)))
    }
    for await (const hash of shared(feed, this.#policy, (known) => this.log.has(known))) {
      changes.push(encodeChange(true, hash))
    }
    await this.#change(changes)
  }

  #change(changes: readonly Buffer[]): Promise<void> {
    return this.#inTurn(async () => {
      const effective = this.log.effective(Buffer.concat(changes))
      if (effective.length === 0) return
      await this.#journal.append(effective)
      this.log.apply(effective)
      if (this.log.compact()) await this.#journal.replace({ ...this.log.state(), policy: this.#policy.id })
    })
  }

  /** One after the other; a failure concerns only whoever asked. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done
  }
}

/** The log that was stored; `undefined` when it contradicts itself. */
function restored(stored: ConstructorParameters<typeof InventoryLog>[0]): InventoryLog | undefined {
  try {
    return new InventoryLog(stored)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** Hash parts of 20 bytes of the packages in the store that the policy shares, without those that need not be looked at. */
async function* shared(
  feed: InventoryFeed,
  policy: SharePolicy,
  known: (hash: Buffer) => boolean,
): AsyncGenerator<Buffer> {
  for await (const hash of paced(feed.hashes())) {
    if (known(hash)) continue
    const name = policy.needsNames ? await feed.name(nix32Encode(hash)) : ''
    if (name !== undefined && policy.shares(name)) yield hash
  }
}

async function* paced(hashes: Iterable<string>): AsyncGenerator<Buffer> {
  let turn = 0
  for (const hash of hashes) {
    if (++turn % HASHES_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    yield nix32Decode(hash)
  }
}
