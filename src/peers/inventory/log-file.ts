import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ifPresent, readFully, syncDirectory, writeFully } from '../../git/durable-file.ts'
import { GachixError } from '../../util/errors.ts'
import type { InventoryJournal, StoredLog } from './journal.ts'
import { decodeLog, encodeBatch, encodeLog } from './log-format.ts'

/** Largest file that is read: a base of ten million packages and as many changes as are ever kept. */
export const MAX_LOG_FILE_BYTES = 256 * 1024 * 1024

/** The inventory log could not be written. */
export class InventoryLogError extends GachixError {
  constructor(path: string, options?: ErrorOptions) {
    super(
      'ERR_INVENTORY_LOG',
      `cannot write the inventory log ${path}; peers are told of changes again once it can be written`,
      options,
    )
  }
}

/**
 * A node's own log in a file of its own, in the format of `log-format.ts`. The repository's lock sees to it that only one process has it.
 * Losing it costs a new epoch and no data.
 */
export class InventoryLogFile implements InventoryJournal {
  readonly #path: string
  #file: FileHandle | undefined
  /** Where the next batch goes. */
  #end = 0

  /** @param path usually `<repository>/gachix/inventory` */
  constructor(path: string) {
    this.#path = path
  }

  async load(): Promise<StoredLog | undefined> {
    await this.close()
    const file = await ifPresent(open(this.#path, 'r+'))
    if (file === undefined) return undefined
    const { size } = await file.stat()
    const bytes = Buffer.allocUnsafeSlow(Math.min(size, MAX_LOG_FILE_BYTES))
    const read = await readFully(file, bytes, 0)
    const found = size > MAX_LOG_FILE_BYTES ? undefined : decodeLog(bytes.subarray(0, read))
    if (found === undefined) {
      await file.close()
      return undefined
    }
    this.#file = file
    this.#end = found.length
    return found.log
  }

  async append(changes: Uint8Array): Promise<void> {
    const batch = encodeBatch(changes)
    await this.#attempt(async () => {
      if (this.#file === undefined) throw new Error('there is no log yet')
      // behind it there may be the rest of a batch that was not finished
      await this.#file.truncate(this.#end)
      await writeFully(this.#file, batch, this.#end)
      await this.#file.datasync()
    })
    this.#end += batch.length
  }

  async replace(log: StoredLog): Promise<void> {
    const pieces = encodeLog(log)
    const temporary = `${this.#path}.${randomBytes(6).toString('hex')}.tmp`
    await this.#attempt(async () => {
      const file = await open(temporary, 'wx+')
      let length = 0
      try {
        for (const piece of pieces) {
          await writeFully(file, piece, length)
          length += piece.length
        }
        await file.sync()
        await rename(temporary, this.#path)
        await syncDirectory(dirname(this.#path))
      } catch (error) {
        await file.close()
        await rm(temporary, { force: true })
        throw error
      }
      await this.close()
      this.#file = file
      this.#end = length
    })
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (cause) {
      throw new InventoryLogError(this.#path, { cause })
    }
  }
}
