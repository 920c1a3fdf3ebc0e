import { randomUUID } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Turns } from '../../util/turns.ts'
import { NO_RECORD, type SpliceRecord } from './record.ts'
import {
  decodeRecord,
  encodeHeader,
  encodeRecord,
  encodeTrailer,
  SIDECAR_HEADER_LENGTH,
  SIDECAR_RECORD_LENGTH,
  SIDECAR_TRAILER_LENGTH,
  sidecarLength,
  sidecarOffset,
} from './sidecar-format.ts'

/** Records in one read: just under 4 KiB. */
const PAGE_RECORDS = 170
const PAGE_LENGTH = PAGE_RECORDS * SIDECAR_RECORD_LENGTH
/** Pages that a sidecar keeps in memory when they are all of it, for a pack of some 350,000 objects at most: 8 MiB. */
const WHOLE_PAGES = 2048
/** Pages that a larger one keeps in memory. */
const CACHED_PAGES = 16
/** Records that are written at once. */
const WRITE_RECORDS = 4096

export interface WriteSidecarOptions {
  /** Have the file on disk before it gets its name. Off by default: what is lost is found out again. */
  readonly sync?: boolean
}

/**
 * Writes the sidecar of a pack under a temporary name beside `path` and renames it; the folder is made when missing.
 *
 * @param packId 40 hex digits
 * @param records one for each object, in the order of the pack's index
 * @throws the file system's errors; nothing is left behind then
 */
export async function writeSidecar(
  path: string,
  packId: string,
  records: Iterable<SpliceRecord>,
  options: WriteSidecarOptions = {},
): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    const file = await open(temporary, 'w')
    try {
      const count = await writeRecords(file, records)
      const header = encodeHeader(packId, count)
      await file.write(encodeTrailer(header), 0, SIDECAR_TRAILER_LENGTH, sidecarOffset(count))
      await file.write(header, 0, header.length, 0)
      if (options.sync === true) await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

async function writeRecords(file: FileHandle, records: Iterable<SpliceRecord>): Promise<number> {
  const buffer = Buffer.allocUnsafe(WRITE_RECORDS * SIDECAR_RECORD_LENGTH)
  let count = 0
  let filled = 0
  let offset = SIDECAR_HEADER_LENGTH
  const turns = new Turns()
  for (const record of records) {
    const pause = turns.next()
    if (pause !== undefined) await pause
    encodeRecord(record, count++, buffer, filled)
    filled += SIDECAR_RECORD_LENGTH
    if (filled < buffer.length) continue
    await file.write(buffer, 0, filled, offset)
    offset += filled
    filled = 0
  }
  if (filled > 0) await file.write(buffer, 0, filled, offset)
  return count
}

/**
 * The splice records of one pack, read from its sidecar a page at a time.
 *
 * Nothing here is trusted: a sidecar that is missing, unreadable, of another pack or damaged counts as missing, and a damaged
 * record as `none`. What follows is slower serving, never wrong bytes.
 */
export class Sidecar {
  readonly count: number
  readonly #pages = new Map<number, Buffer>()
  /** Page of the record that was asked for last. */
  #lastPage = -1
  readonly #single = Buffer.alloc(SIDECAR_RECORD_LENGTH)
  #fd: number | undefined

  private constructor(fd: number, count: number) {
    this.#fd = fd
    this.count = count
  }

  /**
   * Opens the sidecar of the pack with this id and number of objects; `undefined` when there is none that is whole and
   * belongs to it.
   */
  static open(path: string, packId: string, count: number): Sidecar | undefined {
    let fd: number | undefined
    try {
      fd = openSync(path, 'r')
      if (belongs(fd, packId, count)) return new Sidecar(fd, count)
    } catch {
      // as good as missing, whatever the reason
    }
    if (fd !== undefined) closeSync(fd)
    return undefined
  }

  /** The record of the object at `position` in the pack's index; `none` when it cannot be read or is damaged. */
  record(position: number): SpliceRecord {
    if (!(position >= 0 && position < this.count)) return NO_RECORD
    const page = Math.floor(position / PAGE_RECORDS)
    // A package's blobs lie in the index in no order: of a large pack, the pages would be gone before they were of use again.
    const isNear = page === this.#lastPage || page === this.#lastPage + 1
    this.#lastPage = page
    if (!isNear && !this.#isKept && !this.#pages.has(page)) return this.#readSingle(position)
    const bytes = this.#page(page)
    if (bytes === undefined) return NO_RECORD
    return decodeRecord(bytes, (position - page * PAGE_RECORDS) * SIDECAR_RECORD_LENGTH, position)
  }

  /** Whether all pages stay in memory once they have been read. */
  get #isKept(): boolean {
    return this.count <= WHOLE_PAGES * PAGE_RECORDS
  }

  /** Releases the file. Safe to call twice; records are `none` from then on. */
  close(): void {
    if (this.#fd === undefined) return
    closeSync(this.#fd)
    this.#fd = undefined
    this.#pages.clear()
  }

  #readSingle(position: number): SpliceRecord {
    if (this.#fd === undefined) return NO_RECORD
    try {
      const read = readSync(this.#fd, this.#single, 0, SIDECAR_RECORD_LENGTH, sidecarOffset(position))
      return read === SIDECAR_RECORD_LENGTH ? decodeRecord(this.#single, 0, position) : NO_RECORD
    } catch {
      return NO_RECORD
    }
  }

  #page(page: number): Buffer | undefined {
    const cached = this.#pages.get(page)
    if (cached !== undefined) {
      this.#pages.delete(page)
      this.#pages.set(page, cached)
      return cached
    }
    if (this.#fd === undefined) return undefined
    const first = page * PAGE_RECORDS
    const length = Math.min(PAGE_LENGTH, (this.count - first) * SIDECAR_RECORD_LENGTH)
    const bytes = Buffer.allocUnsafeSlow(length)
    try {
      if (readSync(this.#fd, bytes, 0, length, sidecarOffset(first)) !== length) return undefined
    } catch {
      return undefined
    }
    if (!this.#isKept && this.#pages.size === CACHED_PAGES)
      this.#pages.delete(this.#pages.keys().next().value!)
    this.#pages.set(page, bytes)
    return bytes
  }
}

/** Whether the open file is a whole sidecar of this pack. */
function belongs(fd: number, packId: string, count: number): boolean {
  if (fstatSync(fd).size !== sidecarLength(count)) return false
  const header = encodeHeader(packId, count)
  const trailer = encodeTrailer(header)
  return holds(fd, header, 0) && holds(fd, trailer, sidecarOffset(count))
}

function holds(fd: number, expected: Buffer, offset: number): boolean {
  const bytes = Buffer.alloc(expected.length)
  return readSync(fd, bytes, 0, bytes.length, offset) === bytes.length && bytes.equals(expected)
}
