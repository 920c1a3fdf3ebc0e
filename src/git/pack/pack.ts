import { read, readSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { FileHandles, type PooledFile } from '../file-handles.ts'
import { STREAM_CHUNK_SIZE } from '../inflate.ts'
import { CorruptPackError } from '../object-errors.ts'
import type { Oid } from '../oid.ts'
import {
  decodeEntryHeader,
  decodePackHeader,
  MAX_ENTRY_HEADER_BYTES,
  PACK_HEADER_BYTES,
  PACK_TRAILER_BYTES,
  type PackEntryType,
} from './format.ts'
import { PackIndex } from './index-reader.ts'

/** An entry of a pack, its header read. */
export interface PackedEntry {
  readonly type: PackEntryType
  /** Length of the inflated data: the object's, or the delta's where the entry is one. */
  readonly size: number
  /** Where the zlib stream begins in the pack. */
  readonly dataOffset: number
  /** The base of a delta: its offset in this pack, or its id, which is to be found in this pack. */
  readonly base?: number | Oid
}

/** Bytes that are read with an entry's header, for the headers of small entries behind it. */
const WINDOW_BYTES = 4096

const NAME = /^pack-([0-9a-f]{40})\.pack$/

/**
 * One pack file with its index. The file is opened when it is read and may be closed in between (`FileHandles`);
 * `retain` keeps it open, and so readable, even after the pack has been removed from the repository.
 */
export class Pack {
  /** The 40 hex digits of the name, or the checksum of a pack that is named otherwise. */
  readonly id: string
  readonly path: string
  readonly index: PackIndex
  /** Length of the file in bytes. */
  readonly size: number
  /** Time of last modification, in milliseconds: newer packs are asked first. */
  readonly mtimeMs: number
  readonly #file: PooledFile
  /** What was read for the last header, and where in the file it lies: what a package is made of lies side by side. */
  readonly #window = Buffer.allocUnsafeSlow(WINDOW_BYTES)
  #windowAt = 0
  #windowLength = 0

  private constructor(
    path: string,
    index: PackIndex,
    facts: { size: number; mtimeMs: number },
    file: PooledFile,
  ) {
    this.path = path
    this.index = index
    this.id = NAME.exec(basename(path))?.[1] ?? index.packChecksum
    this.size = facts.size
    this.mtimeMs = facts.mtimeMs
    this.#file = file
  }

  /**
   * Opens the pack at `path` (`….pack`) with the `.idx` beside it, and checks that the two belong together.
   *
   * @param handles the pool that the file is opened from
   * @param known the pack's index, when somebody has read it already
   * @throws CorruptPackError, CorruptPackIndexError when one of the files is damaged
   */
  static async open(path: string, handles = new FileHandles(), known?: PackIndex): Promise<Pack> {
    const facts = await stat(path)
    if (facts.size < PACK_HEADER_BYTES + PACK_TRAILER_BYTES)
      throw new CorruptPackError(`${path} is too short to be a pack`)
    const index = known ?? (await PackIndex.open(path.replace(/\.pack$/, '.idx'), { packSize: facts.size }))
    const pack = new Pack(path, index, facts, handles.file(path, facts))
    try {
      await pack.#checkEnds()
    } catch (error) {
      pack.close()
      throw error
    }
    return pack
  }

  /**
   * Reads at `position` of the file until `buffer` is full or the file ends; resolves to the number of bytes read.
   *
   * @throws PackGoneError when the file was removed or replaced
   */
  async readAt(buffer: Uint8Array, position: number): Promise<number> {
    const fd = this.#file.acquire()
    try {
      let filled = 0
      while (filled < buffer.length) {
        const count = await readOnce(fd, buffer, filled, position + filled)
        if (count === 0) break
        filled += count
      }
      return filled
    } finally {
      this.#file.release()
    }
  }

  /** As `readAt`, at once. For small reads only: it holds up the event loop. */
  readSync(buffer: Uint8Array, position: number): number {
    const fd = this.#file.acquire()
    try {
      let filled = 0
      while (filled < buffer.length) {
        const count = readSync(fd, buffer, filled, buffer.length - filled, position + filled)
        if (count === 0) break
        filled += count
      }
      return filled
    } finally {
      this.#file.release()
    }
  }

  /**
   * The raw bytes from `start` on, `length` of them, in pieces of at most 256 KiB.
   *
   * @throws CorruptPackError when the file ends before
   * @throws PackGoneError when the file was removed or replaced
   */
  async *readRange(start: number, length: number): AsyncGenerator<Buffer, void, undefined> {
    const end = start + length
    for (let position = start; position < end; position += STREAM_CHUNK_SIZE) {
      const chunk = Buffer.allocUnsafe(Math.min(STREAM_CHUNK_SIZE, end - position))
      if ((await this.readAt(chunk, position)) < chunk.length)
        throw new CorruptPackError(`${this.path} is cut off`)
      yield chunk
    }
  }

  /**
   * Reads the header of the entry at `offset`.
   *
   * @throws CorruptPackError when there is no sound header
   */
  entryHeader(offset: number): PackedEntry {
    const end = this.size - PACK_TRAILER_BYTES
    if (!(offset >= PACK_HEADER_BYTES && offset < end)) {
      throw new CorruptPackError(`${this.path} has no entry at offset ${offset}`)
    }
    const needed = Math.min(MAX_ENTRY_HEADER_BYTES, end - offset)
    let from = offset - this.#windowAt
    if (!(from >= 0 && from + needed <= this.#windowLength)) {
      this.#windowLength = 0
      this.#windowLength = this.readSync(
        this.#window.subarray(0, Math.min(WINDOW_BYTES, end - offset)),
        offset,
      )
      this.#windowAt = offset
      from = 0
    }
    return this.parseEntry(this.#window.subarray(from, Math.min(from + needed, this.#windowLength)), offset)
  }

  /** Decodes the header of an entry whose first bytes have been read. @throws CorruptPackError */
  parseEntry(raw: Uint8Array, offset: number): PackedEntry {
    let header: ReturnType<typeof decodeEntryHeader>
    try {
      header = decodeEntryHeader(raw, 0, offset)
    } catch (error) {
      if (error instanceof CorruptPackError)
        throw new CorruptPackError(`${this.path}: ${error.problem}`, { cause: error })
      throw error
    }
    const { type, size, headerLength, base } = header
    const dataOffset = offset + headerLength
    return base === undefined ? { type, size, dataOffset } : { type, size, dataOffset, base }
  }

  /** Opens the file and keeps it open until `release`, whatever happens to its name. @throws PackGoneError */
  retain(): void {
    this.#file.acquire()
  }

  /** Undoes one `retain`. */
  release(): void {
    this.#file.release()
  }

  /** Closes the file as soon as its last reader is done; only who has retained the pack can read it after that. */
  close(): void {
    this.#file.close()
  }

  async #checkEnds(): Promise<void> {
    const header = Buffer.alloc(PACK_HEADER_BYTES)
    const count = decodePackHeader(header.subarray(0, await this.readAt(header, 0)), this.path)
    if (count !== this.index.count) {
      throw new CorruptPackError(`${this.path} has ${count} objects, its index names ${this.index.count}`)
    }
    const trailer = Buffer.alloc(PACK_TRAILER_BYTES)
    await this.readAt(trailer, this.size - PACK_TRAILER_BYTES)
    if (trailer.toString('hex') !== this.index.packChecksum) {
      throw new CorruptPackError(`${this.path} is not the pack that its index was made for`)
    }
  }
}

function readOnce(fd: number, buffer: Uint8Array, from: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, from, buffer.length - from, position, (error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}
