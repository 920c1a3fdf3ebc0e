import { crc32 } from 'node:zlib'
import type { ObjectDatabase } from '../git/object-database.ts'
import {
  CorruptObjectError,
  CorruptPackError,
  CorruptPackIndexError,
  MalformedObjectError,
} from '../git/object-errors.ts'
import type { Pack } from '../git/pack/pack.ts'
import { DeflateScanner } from '../git/splice/deflate-scanner.ts'
import { DeflateFormatError } from '../git/splice/errors.ts'
import { CANONICAL_TRAILER_LENGTH, NO_RECORD, type SpliceRecord } from '../git/splice/record.ts'
import { scannedRecord } from '../git/splice/scanned-record.ts'
import { writeSidecar } from '../git/splice/sidecar.ts'
import { Turns } from '../util/turns.ts'
import type { SpliceRecords } from './splice-records.ts'

/** What is scanned in one go: some milliseconds' work would hold up requests. */
const READ_SIZE = 64 * 1024

/** Where in a pack the zlib stream of an object lies, and how long its content is. */
interface EntryStream {
  readonly start: number
  readonly length: number
  readonly size: number
}

/** Errors that say that an object or its place in the pack is damaged. */
const DAMAGE = [
  DeflateFormatError,
  CorruptObjectError,
  CorruptPackError,
  CorruptPackIndexError,
  MalformedObjectError,
]

/**
 * Makes the splice sidecars of packs that something else wrote (git itself, a clone), so that their blobs are served
 * spliced like our own.
 */
export class SpliceScanner {
  readonly #database: ObjectDatabase
  readonly #records: SpliceRecords
  readonly #scanner = new DeflateScanner()
  #running: Promise<void> = Promise.resolve()

  constructor(database: ObjectDatabase, records: SpliceRecords) {
    this.#database = database
    this.#records = records
  }

  /** Scans all packs that have no sidecar, one after the other. */
  scanMissing(signal: AbortSignal): Promise<void> {
    this.#running = this.#running
      .catch(() => {})
      .then(async () => {
        for (const pack of this.#database.packs()) {
          signal.throwIfAborted()
          // It may have been merged into another pack since the last turn, its records with it.
          if (!this.#database.packs().includes(pack) || this.#records.has(pack)) continue
          await this.#scan(pack, signal)
        }
      })
    return this.#running
  }

  async #scan(pack: Pack, signal: AbortSignal): Promise<void> {
    const records: SpliceRecord[] = []
    const turns = new Turns(signal)
    for (let position = 0; position < pack.index.count; position++) {
      await turns.next()
      records.push(await this.#record(pack, position, turns))
    }
    await writeSidecar(this.#records.pathOf(pack.id), pack.id, records)
    this.#records.refresh(pack)
  }

  async #record(pack: Pack, position: number, turns: Turns): Promise<SpliceRecord> {
    try {
      const offset = pack.index.offsetAt(position)
      const entry = pack.entryHeader(offset)
      if (entry.type !== 'blob') return NO_RECORD
      const length = offset + pack.index.lengthAt(position) - entry.dataOffset
      const end = await this.#scanStream(pack, { start: entry.dataOffset, length, size: entry.size }, turns)
      let crc = 0
      const { chunks } = await this.#database.stream(pack.index.oidAt(position))
      for await (const chunk of chunks) crc = crc32(chunk, crc)
      return scannedRecord(this.#scanner, end, crc)
    } catch (error) {
      // What cannot be spliced is inflated when it is served, and damage is reported then.
      if (DAMAGE.some((kind) => error instanceof kind)) return NO_RECORD
      throw error
    }
  }

  /** Has the scanner find the last block of a zlib stream; gives the stream's last bytes. */
  async #scanStream(pack: Pack, { start, length, size }: EntryStream, turns: Turns): Promise<Buffer> {
    const scanner = this.#scanner
    scanner.reset()
    const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, length))
    for (let at = 0; at < length; ) {
      const read = await pack.readAt(buffer.subarray(0, Math.min(buffer.length, length - at)), start + at)
      if (read === 0) throw new DeflateFormatError('the pack ends within the stream')
      await turns.next()
      scanner.push(buffer.subarray(0, read))
      at += read
    }
    scanner.finish()
    if (scanner.consumed !== length || scanner.outputLength !== size) {
      throw new DeflateFormatError('the stream does not fill its pack entry')
    }
    const end = Buffer.alloc(CANONICAL_TRAILER_LENGTH)
    await pack.readAt(end, start + length - end.length)
    return end
  }
}
