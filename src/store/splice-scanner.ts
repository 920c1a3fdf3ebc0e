import { setImmediate } from 'node:timers/promises'
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
import type { SpliceRecords } from './splice-records.ts'

const READ_SIZE = 256 * 1024
/** Entries between pauses in which other work gets its turn. */
const ENTRIES_A_TURN = 64

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
    for (let position = 0; position < pack.index.count; position++) {
      if (position % ENTRIES_A_TURN === 0) {
        await setImmediate()
        signal.throwIfAborted()
      }
      records.push(await this.#record(pack, position))
    }
    await writeSidecar(this.#records.pathOf(pack.id), pack.id, records)
    this.#records.refresh(pack)
  }

  async #record(pack: Pack, position: number): Promise<SpliceRecord> {
    try {
      const offset = pack.index.offsetAt(position)
      const entry = pack.entryHeader(offset)
      if (entry.type !== 'blob') return NO_RECORD
      const length = offset + pack.index.lengthAt(position) - entry.dataOffset
      const end = await this.#scanStream(pack, entry.dataOffset, length, entry.size)
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
  async #scanStream(pack: Pack, start: number, length: number, size: number): Promise<Buffer> {
    const scanner = this.#scanner
    scanner.reset()
    const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, length))
    for (let at = 0; at < length; ) {
      const read = await pack.readAt(buffer.subarray(0, Math.min(buffer.length, length - at)), start + at)
      if (read === 0) throw new DeflateFormatError('the pack ends within the stream')
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
