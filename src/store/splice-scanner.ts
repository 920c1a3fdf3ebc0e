import { setImmediate } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import type { ObjectDatabase } from '../git/object-database.ts'
import type { Pack } from '../git/pack/pack.ts'
import { DeflateScanner } from '../git/splice/deflate-scanner.ts'
import type { SpliceRecord } from '../git/splice/record.ts'
import { writeSidecar } from '../git/splice/sidecar.ts'
import type { SpliceRecords } from './splice-records.ts'

const READ_SIZE = 256 * 1024
/** Entries between pauses in which other work gets its turn. */
const ENTRIES_A_TURN = 64
/** Lengths in a zlib stream: its header, its trailer, and the empty final block of the canonical encoding. */
const HEADER = 2
const TRAILER = 4
const FINAL = 2

/**
 * Makes the splice sidecars of packs that something else wrote (git itself, a clone), so that their blobs are served
 * spliced like our own.
 */
export class SpliceScanner {
  readonly #database: ObjectDatabase
  readonly #records: SpliceRecords
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
          if (!this.#records.has(pack)) await this.#scan(pack, signal)
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
    const offset = pack.index.offsetAt(position)
    const entry = pack.entryHeader(offset)
    if (entry.type !== 'blob') return { kind: 'none' }
    const length = offset + pack.index.lengthAt(position) - entry.dataOffset
    const scanner = new DeflateScanner()
    const last = Buffer.alloc(FINAL)
    const end = entry.dataOffset + length - TRAILER
    const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, length))
    for (let at = entry.dataOffset + HEADER; at < end; ) {
      const read = await pack.readAt(buffer.subarray(0, Math.min(buffer.length, end - at)), at)
      scanner.push(buffer.subarray(0, read))
      if (read >= FINAL) buffer.copy(last, 0, read - FINAL, read)
      at += read
    }
    const raw = length - HEADER - TRAILER
    if (!scanner.done || scanner.consumed !== raw || scanner.outputLength !== entry.size)
      return { kind: 'none' }
    let crc = 0
    const { chunks } = await this.#database.stream(pack.index.oidAt(position))
    for await (const chunk of chunks) crc = crc32(chunk, crc)
    if (scanner.finalBit === 8 * (raw - FINAL) && last[0] === 0x03 && last[1] === 0x00) {
      return { kind: 'canonical', crc32: crc }
    }
    return { kind: 'bits', crc32: crc, finalBit: scanner.finalBit, endBit: scanner.endBit }
  }
}
