import type { InventoryJournal, StoredLog } from '../../../src/peers/inventory/journal.ts'

/** A disk in memory: what a node remembers over a restart. */
export class SimDisk implements InventoryJournal {
  #stored: StoredLog | undefined

  load(): Promise<StoredLog | undefined> {
    return Promise.resolve(this.#stored)
  }

  append(changes: Uint8Array): Promise<void> {
    const stored = this.#stored!
    this.#stored = { ...stored, changes: Buffer.concat([stored.changes, changes]) }
    return Promise.resolve()
  }

  replace(log: StoredLog): Promise<void> {
    this.#stored = log
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  wipe(): void {
    this.#stored = undefined
  }

  /** A copy as of now, to be put back later. */
  backup(): SimDisk {
    const copy = new SimDisk()
    copy.#stored = this.#stored
    return copy
  }
}
