import type { LogState } from './inventory-log.ts'

/** What is remembered of a log between two runs. */
export interface StoredLog extends LogState {
  /** `SharePolicy.id` of the policy that filtered it. */
  readonly policy: string
}

/** Where a node's own log is kept. What a promise has resolved for survives a crash. */
export interface InventoryJournal {
  /** What is there; `undefined` when there is nothing, or nothing that can be trusted. */
  load(): Promise<StoredLog | undefined>
  /** Adds changes of 21 bytes each, all or none. */
  append(changes: Uint8Array): Promise<void>
  /** Puts another log in the place of this one, whole or not at all. */
  replace(log: StoredLog): Promise<void>
  close(): Promise<void>
}

/** The packages of the store, as the inventory sees them. */
export interface InventoryFeed {
  /** Hash parts of all packages that a peer may fetch: 20 bytes each, many in each piece; in no order. */
  hashes(): Iterable<Uint8Array>
  /** Name of a package's store path without its hash part, by that (32 nix32 characters); `undefined` when it is gone. */
  name(hash: string): Promise<string | undefined>
}
