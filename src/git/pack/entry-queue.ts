import { Turns } from '../../util/turns.ts'
import { FINAL_BLOCK, ZLIB_HEADER } from '../deflate/chunk.ts'
import type { Oid } from '../oid.ts'
import { adler32Combine } from '../splice/adler32.ts'
import { crc32Combine } from '../splice/crc32-combine.ts'
import type { SpliceRecord } from '../splice/record.ts'
import type { BlobPiece } from './blob-intake.ts'
import type { EntryTable } from './entry-table.ts'
import type { PackOutput } from './output.ts'
import { type PendingEntry, pendingEntry, type WholeObject } from './pending-entry.ts'

/** Content bytes that may wait for deflate and disk before the queue counts as full. */
const IN_FLIGHT_LIMIT = 2 * 1024 * 1024
/** Entries that may wait: each costs some hundred bytes beside its content. */
const IN_FLIGHT_ENTRIES = 4096

/**
 * The entries of a pack on their way to its file: written one after the other, each as its chunks come back from the deflate pool. After
 * a failure nothing more is written.
 */
export class EntryQueue {
  readonly #out: PackOutput
  readonly #entries: EntryTable
  readonly #queue: PendingEntry[] = []
  #inFlight = 0
  #running: Promise<void> | undefined
  #wake: (() => void) | undefined
  #error: unknown
  #relief: PromiseWithResolvers<void> | undefined

  /** @param entries told of each entry that is written */
  constructor(out: PackOutput, entries: EntryTable) {
    this.#out = out
    this.#entries = entries
  }

  /** Entries that wait. */
  get length(): number {
    return this.#queue.length
  }

  get failed(): boolean {
    return this.#error !== undefined
  }

  /** Whether so much waits that nothing should be added before there is some relief. */
  get full(): boolean {
    return !this.failed && (this.#inFlight > IN_FLIGHT_LIMIT || this.#queue.length > IN_FLIGHT_ENTRIES)
  }

  /** Adds an entry whose pieces follow. */
  add(header: Buffer): PendingEntry {
    return this.#add(pendingEntry(header))
  }

  /** Adds an entry that is complete. */
  addWhole(header: Buffer, whole: WholeObject): void {
    this.#inFlight += whole.length
    // It is awaited when its turn comes; until then a failure must not count as unhandled.
    if (whole.deflated instanceof Promise) whole.deflated.catch(() => {})
    this.#add(pendingEntry(header, whole))
  }

  /** Adds the next chunk of the entry that was added last. */
  addPiece(entry: PendingEntry, piece: BlobPiece): void {
    this.#inFlight += piece.length
    // The queue awaits chunks one after the other; a failure of a later one must not count as unhandled until then.
    piece.chunk.catch(() => {})
    entry.pieces.push(piece)
    this.#wake?.()
  }

  /** All of an entry is there. @param oid its id; `null` when it is known, or given up, and is to be taken back */
  complete(entry: PendingEntry, oid: Oid | null): void {
    entry.oid = oid
    this.#wake?.()
  }

  /** Resolves when less waits than before, or all is over. */
  async relief(): Promise<void> {
    this.#relief ??= Promise.withResolvers()
    await this.#relief.promise
  }

  /** Resolves when all has been written. @throws what went wrong */
  async drain(): Promise<void> {
    await this.idle()
    this.check()
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** Ends the writing, unless something went wrong before. */
  fail(error: unknown): void {
    this.#error ??= error
    this.#wake?.()
  }

  /** @throws what went wrong with deflate or disk */
  check(): void {
    if (this.failed) throw this.#error
  }

  #add(entry: PendingEntry): PendingEntry {
    this.#queue.push(entry)
    this.#running ??= this.#work()
    return entry
  }

  /** Writes the queue until it is empty. */
  async #work(): Promise<void> {
    try {
      // The caller is in the middle of adding to the entry that started this.
      await null
      const turns = new Turns()
      do {
        for (let entry = this.#queue[0]; entry !== undefined; entry = this.#queue[0]) {
          this.check()
          const pause = turns.next()
          if (pause !== undefined) await pause
          await this.#write(entry)
          this.#queue.shift()
          this.#relieve()
        }
        await this.#out.flush()
        // More may have come while the last bytes were on their way.
      } while (this.#queue.length > 0)
    } catch (error) {
      this.#error ??= error
      this.#queue.length = 0
    } finally {
      this.#running = undefined
      this.#relieve()
    }
  }

  async #write(entry: PendingEntry): Promise<void> {
    const offset = this.#out.position
    let crc = this.#out.emit(entry.header, 0)
    let splice: SpliceRecord = { kind: 'none' }
    if (entry.whole !== undefined) {
      const { deflated, length } = entry.whole
      crc = this.#out.emit(deflated instanceof Promise ? await deflated : deflated, crc)
      this.#inFlight -= length
    } else {
      crc = this.#out.emit(ZLIB_HEADER, crc)
      let adler = 1
      let contentCrc = 0
      while (entry.oid === undefined || entry.done < entry.pieces.length) {
        this.check()
        if (entry.oid === null) break
        const piece = entry.pieces[entry.done]
        if (piece === undefined) {
          await this.#moreOf()
          continue
        }
        const chunk = await piece.chunk
        adler = adler32Combine(adler, chunk.adler32, piece.length)
        contentCrc = entry.done === 0 ? chunk.crc32 : crc32Combine(contentCrc, chunk.crc32, piece.length)
        crc = this.#out.emit(chunk.deflated, crc)
        this.#account(entry, piece)
        this.#relieve()
        await this.#out.settle()
      }
      if (entry.oid === null || entry.oid === undefined) {
        await this.#takeBack(entry, offset)
        return
      }
      const trailer = Buffer.alloc(6)
      FINAL_BLOCK.copy(trailer)
      trailer.writeUInt32BE(adler, 2)
      crc = this.#out.emit(trailer, crc)
      splice = { kind: 'canonical', crc32: contentCrc }
    }
    this.#entries.add({ oid: entry.oid!, offset, crc32: crc, splice })
    await this.#out.settle()
  }

  /** A large blob turned out to be known, or was given up: forget what was written of it. */
  async #takeBack(entry: PendingEntry, offset: number): Promise<void> {
    for (const piece of entry.pieces.slice(entry.done)) {
      await piece!.chunk
      this.#account(entry, piece!)
    }
    await this.#out.flush()
    this.#out.rewind(offset)
  }

  /** Lets go of an entry's next chunk, which has come back from the pool. */
  #account(entry: PendingEntry, piece: BlobPiece): void {
    entry.pieces[entry.done++] = undefined
    this.#inFlight -= piece.length
    piece.release()
  }

  #moreOf(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        resolve()
      }
    })
  }

  #relieve(): void {
    this.#relief?.resolve()
    this.#relief = undefined
  }
}
