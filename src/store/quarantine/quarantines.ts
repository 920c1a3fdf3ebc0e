import type { Logger } from '../../util/log.ts'
import type { IngestComponents } from '../ingest/create.ts'
import type { SpliceRecords } from '../splice-records.ts'
import { QuarantineInUseError } from './errors.ts'
import { Expectations } from './expectations.ts'
import { QuarantineFolder, quarantineRoot } from './folder.ts'
import { QuarantineObjects } from './objects.ts'
import { StoreQuarantine } from './quarantine.ts'
import { ReceiverThread } from './receiving/thread.ts'

export { removeStale } from './folder.ts'

/** Disk space of one quarantine. The largest closures have some GB, and are published in parts. */
export const QUARANTINE_BYTES = 16 * 1024 * 1024 * 1024

export interface QuarantinesOptions {
  /** gachix's own folder in the repository. */
  ownDir: string
  /** The splice records of the store's packs. */
  records: SpliceRecords
  maxBytes: number
  logger: Logger
}

/** The quarantines of a store that are open. */
export class Quarantines {
  readonly #options: QuarantinesOptions
  readonly #receiver = new ReceiverThread()
  readonly #open = new Map<string, StoreQuarantine | undefined>()

  constructor(options: QuarantinesOptions) {
    this.#options = options
  }

  /**
   * @param onClose told when the quarantine is closed, or cannot be opened
   * @throws QuarantineInUseError
   */
  async open(name: string, store: IngestComponents, onClose: () => void): Promise<StoreQuarantine> {
    if (this.#open.has(name)) {
      onClose()
      throw new QuarantineInUseError(name)
    }
    this.#open.set(name, undefined)
    const closed = (): void => {
      this.#open.delete(name)
      onClose()
    }
    const { ownDir, records, maxBytes, logger } = this.#options
    try {
      this.#receiver.wake()
      const objects = await QuarantineObjects.open({
        folder: new QuarantineFolder(quarantineRoot(ownDir), name),
        receiver: this.#receiver,
        level: store.level,
        storeObjects: store.database,
        storeRecords: records,
        maxBytes,
        logger,
      })
      const quarantine = new StoreQuarantine({
        ...{ objects, store },
        expectations: new Expectations(objects.database, this.#receiver),
        onClose: closed,
      })
      this.#open.set(name, quarantine)
      return quarantine
    } catch (error) {
      closed()
      throw error
    }
  }

  /** Closes those that are open. */
  async close(): Promise<void> {
    try {
      await Promise.all([...this.#open.values()].map((quarantine) => quarantine?.close()))
    } finally {
      await this.#receiver.close()
    }
  }
}
