import { setImmediate } from 'node:timers/promises'
import { HASH_BYTES, PREFIX_BYTES } from '../../../protocol/index.ts'
import { nix32Decode, nix32Encode } from '../../nix/base32.ts'
import { Turns } from '../../util/turns.ts'
import { encodeChange, InventoryLog, type LogState, MAX_LOG_CHANGES } from './inventory-log.ts'
import type { InventoryFeed, InventoryJournal } from './journal.ts'
import type { SharePolicy } from './share-policy.ts'
import { differences, sortRecords } from './sort-records.ts'
import { asBuffer } from './sorted-records.ts'

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
    const present = await presentIn(feed)
    const stored = await journal.load()
    const log = stored?.policy === policy.id ? await restored(stored) : undefined
    if (log !== undefined) {
      const changes = await changesSince(log, present, components)
      // The log keeps no more, and whoever follows it compares digests either way.
      if (changes.length <= MAX_LOG_CHANGES) {
        const inventory = new OwnInventory(log, components)
        await inventory.#change(changes)
        return inventory
      }
    }
    const hashes = await sharedAmong(present, components)
    const epoch = Math.max(1, Math.floor(now), (stored?.epoch ?? 0) + 1)
    const state = InventoryLog.begin(epoch, hashes)
    await journal.replace({ ...state, policy: policy.id })
    return new OwnInventory(await InventoryLog.open(state), components)
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
async function restored(stored: LogState): Promise<InventoryLog | undefined> {
  try {
    return await InventoryLog.open(stored)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** Hash parts of all packages in the store, 20 bytes each, in byte order. */
async function presentIn(feed: InventoryFeed): Promise<Buffer> {
  const pieces: Buffer[] = []
  for (const piece of feed.hashes()) {
    await setImmediate()
    pieces.push(asBuffer(piece))
  }
  return await sortRecords(pieces, HASH_BYTES, PREFIX_BYTES)
}

/** What has to change in a log so that it names what is shared of the packages that are present. */
async function changesSince(
  log: InventoryLog,
  present: Buffer,
  { feed, policy }: OwnInventoryComponents,
): Promise<Buffer[]> {
  const turns = new Turns()
  const changes: Buffer[] = []
  for (const { record, added } of differences(log.hashes(), present, HASH_BYTES)) {
    const turn = turns.next()
    if (turn !== undefined) await turn
    if (changes.length > MAX_LOG_CHANGES) break
    if (!added || (await isShared(record, feed, policy))) changes.push(encodeChange(added, record))
  }
  return changes
}

/** The hash parts of what the policy shares of the packages that are present. */
async function sharedAmong(present: Buffer, { feed, policy }: OwnInventoryComponents): Promise<Buffer> {
  if (!policy.needsNames) return policy.shares('') ? present : Buffer.alloc(0)
  const kept = Buffer.allocUnsafeSlow(present.length)
  let length = 0
  for (let at = 0; at < present.length; at += HASH_BYTES) {
    const hash = present.subarray(at, at + HASH_BYTES)
    if (await isShared(hash, feed, policy)) length += hash.copy(kept, length)
  }
  return kept.subarray(0, length)
}

async function isShared(hash: Buffer, feed: InventoryFeed, policy: SharePolicy): Promise<boolean> {
  const name = policy.needsNames ? await feed.name(nix32Encode(hash)) : ''
  return name !== undefined && policy.shares(name)
}
