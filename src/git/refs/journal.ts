import { type FileHandle, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ifPresent, syncDirectory, writeFully } from '../durable-file.ts'
import {
  encodeBatch,
  encodeRecord,
  JOURNAL_HEADER,
  MAX_RECORD_BYTES,
  type RefBatch,
} from './journal-format.ts'
import { type ApplyChange, readJournal } from './journal-reader.ts'
import { InvalidRefUpdateError, JournalBrokenError } from './ref-errors.ts'

export type { RefBatch }

interface Waiting {
  readonly lines: Buffer
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * The append-only file of ref changes that are not in `packed-refs` yet.
 *
 * A batch is durable when `append` resolves. Batches that wait at the same time share one record, one write and one
 * sync; a crash leaves all of a record or nothing.
 */
export class Journal {
  readonly path: string
  #file: FileHandle
  /** Bytes of header and whole records. */
  #size: number
  #waiting: Waiting[] = []
  #flushing: Promise<void> | undefined
  #broken: JournalBrokenError | undefined

  private constructor(path: string, file: FileHandle, size: number) {
    this.path = path
    this.#file = file
    this.#size = size
  }

  /**
   * Opens the journal for writing, or makes one; hands over the changes that it holds, in their order, and cuts off a
   * record that a crash left unfinished at its end.
   *
   * @throws JournalDamagedError, JournalFormatError
   */
  static async open(path: string, apply: ApplyChange): Promise<Journal> {
    const file = await ifPresent(open(path, 'r+'))
    if (file === undefined) return new Journal(path, await create(path), JOURNAL_HEADER.length)
    try {
      const { end, size } = await readJournal(file, path, apply)
      if (end === 0) {
        await file.close()
        return new Journal(path, await create(path), JOURNAL_HEADER.length)
      }
      if (end < size) {
        await file.truncate(end)
        await file.sync()
      }
      return new Journal(path, file, end)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Size of the file in bytes. */
  get size(): number {
    return this.#size
  }

  /** Whether the journal holds no record. */
  get isEmpty(): boolean {
    return this.#size === JOURNAL_HEADER.length
  }

  /**
   * Resolves once the batch is on the disk. Names and ids must be valid.
   *
   * @throws InvalidRefUpdateError when the batch is larger than a record may be
   * @throws JournalBrokenError when the disk failed and its state is not known; whatever the operating system threw when
   *   the batch could not be written and the journal is as before
   */
  append(batch: RefBatch): Promise<void> {
    const lines = encodeBatch(batch)
    if (lines.length === 0) return Promise.resolve()
    if (lines.length > MAX_RECORD_BYTES) {
      return Promise.reject(
        new InvalidRefUpdateError(
          `a batch of ref changes takes ${lines.length} bytes; at most ${MAX_RECORD_BYTES} can be made at once`,
        ),
      )
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ lines, resolve, reject })
    this.#flushing ??= this.#flush()
    return promise
  }

  /**
   * Empties the journal, after its content went to `packed-refs`. Nothing may be waiting to be appended.
   */
  async reset(): Promise<void> {
    if (this.#flushing !== undefined) throw new Error('the journal is reset while changes are being appended')
    if (this.#broken !== undefined) throw this.#broken
    const file = await create(this.path)
    await this.#file.close()
    this.#file = file
    this.#size = JOURNAL_HEADER.length
  }

  /** Waits for what is being appended and closes the file. */
  async close(): Promise<void> {
    await this.#flushing
    await this.#file.close()
  }

  async #flush(): Promise<void> {
    // Gives whoever appends in the same turn of the event loop the chance to share the first write.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup()
      try {
        await this.#write(encodeRecord(group.map(({ lines }) => lines)))
        for (const { resolve } of group) resolve()
      } catch (error) {
        for (const { reject } of group) reject(error as Error)
      }
    }
    this.#flushing = undefined
  }

  #takeGroup(): Waiting[] {
    let bytes = 0
    let count = 0
    for (const { lines } of this.#waiting) {
      bytes += lines.length
      if (count > 0 && bytes > MAX_RECORD_BYTES) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  async #write(record: Buffer): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    try {
      await writeFully(this.#file, record, this.#size)
    } catch (error) {
      // A full disk: what was written of the record must not stand before the next one.
      await this.#cut(error)
      throw error
    }
    try {
      await this.#file.datasync()
    } catch (error) {
      // After a failed sync the kernel may have dropped the pages, and a second sync would claim success.
      this.#broken = new JournalBrokenError(this.path, { cause: error })
      throw this.#broken
    }
    this.#size += record.length
  }

  async #cut(cause: unknown): Promise<void> {
    try {
      await this.#file.truncate(this.#size)
    } catch {
      this.#broken = new JournalBrokenError(this.path, { cause })
      throw this.#broken
    }
  }
}

/** Puts an empty journal in the place of whatever is there. */
async function create(path: string): Promise<FileHandle> {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w+', 0o600)
  try {
    await writeFully(file, JOURNAL_HEADER, 0)
    await file.sync()
    await rename(temporary, path)
    await syncDirectory(dirname(path))
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}
