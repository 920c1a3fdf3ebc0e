import { randomBytes } from 'node:crypto'
import { closeSync, constants, openSync, readSync, unlinkSync, write } from 'node:fs'
import { join } from 'node:path'
import { ObjectTooLargeError } from './object-errors.ts'

/**
 * Bytes that are too many for memory, in a temporary file that has no name any more: it goes away with the process
 * whatever happens to it.
 */
export class Spool {
  /** Number of bytes. */
  readonly size: number
  readonly #fd: number

  private constructor(fd: number, size: number) {
    this.#fd = fd
    this.size = size
  }

  /**
   * Writes all chunks to a new file in `directory`.
   *
   * @throws ObjectTooLargeError when they are more than `limit` bytes; what the chunks' source throws
   */
  static async from(chunks: AsyncIterable<Uint8Array>, directory: string, limit: number): Promise<Spool> {
    const path = join(directory, `gachix-delta-base-${randomBytes(12).toString('hex')}`)
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
    try {
      unlinkSync(path)
      let size = 0
      for await (const chunk of chunks) {
        if (size + chunk.length > limit)
          throw new ObjectTooLargeError('a delta base', size + chunk.length, limit)
        await writeAll(fd, chunk, size)
        size += chunk.length
      }
      return new Spool(fd, size)
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** Fills `target` with the bytes from `position` on. @throws RangeError when they are not all there */
  readInto(target: Buffer, position: number): void {
    for (let filled = 0; filled < target.length; ) {
      const count = readSync(this.#fd, target, filled, target.length - filled, position + filled)
      if (count === 0) throw new RangeError('read past the end of a temporary file')
      filled += count
    }
  }

  /** Gives the bytes up. */
  close(): void {
    closeSync(this.#fd)
  }
}

async function writeAll(fd: number, chunk: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    written += await new Promise<number>((resolve, reject) => {
      write(fd, chunk, written, chunk.length - written, position + written, (error, count) => {
        if (error === null) resolve(count)
        else reject(error)
      })
    })
  }
}
