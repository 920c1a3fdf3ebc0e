import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { GachixError } from '../../util/errors.ts'
import { deflateWhole } from '../deflate/chunk.ts'
import type { DeflatePool } from '../deflate/pool.ts'
import { type GitObjectType, hashObject, type Oid } from '../oid.ts'
import { BlobIntake, type BlobPiece } from './blob-intake.ts'
import { EntryQueue } from './entry-queue.ts'
import { EntryTable } from './entry-table.ts'
import { type FinishedPack, finishSortedPack } from './finish.ts'
import { encodeEntryHeader, PACK_HEADER_BYTES } from './format.ts'
import { PackOutput } from './output.ts'
import type { PendingEntry } from './pending-entry.ts'

export interface PackWriterOptions {
  /** Where the unfinished pack lies; on the file system of the repository. */
  tmpDir: string
  pool: DeflatePool
  /** zlib level for trees and commits. */
  level: number
  /** Whether an object is in the repository already, so that it need not be written. */
  has: (oid: Oid) => boolean
}

/** A state to come back to, see `PackWriter.rollback`. */
export interface PackMark {
  readonly position: number
  readonly entries: number
}

interface OpenBlob {
  readonly size: number
  /** Only for large blobs, which are written before their id is known. */
  entry: PendingEntry | undefined
}

/**
 * Writes one pack, front to back, with every blob in the canonical spliceable encoding (see `deflate/chunk.ts`).
 *
 * Contents go in synchronously, in pieces of any size; deflate and disk work behind, in order. Blobs that the
 * repository has are left out: before they are deflated, large ones by taking their entry back. Memory is bounded
 * when the caller awaits `ready()` between pieces.
 */
export class PackWriter {
  readonly #options: PackWriterOptions
  readonly #file: FileHandle
  readonly #path: string
  readonly #entries = new EntryTable()
  readonly #known = new Set<Oid>()
  /** Objects that others rely on. */
  readonly #lent = new Set<Oid>()
  readonly #intake: BlobIntake
  #blob: OpenBlob | undefined
  readonly #out: PackOutput
  readonly #queue: EntryQueue

  private constructor(options: PackWriterOptions, file: FileHandle, path: string) {
    this.#options = options
    this.#file = file
    this.#path = path
    this.#out = new PackOutput(file, PACK_HEADER_BYTES)
    this.#queue = new EntryQueue(this.#out, this.#entries)
    this.#intake = new BlobIntake(options.pool)
  }

  /** Opens a new pack under a temporary name. */
  static async create(options: PackWriterOptions): Promise<PackWriter> {
    const path = join(options.tmpDir, `pack-${process.pid}-${crypto.randomUUID()}.tmp`)
    return new PackWriter(options, await open(path, 'wx+', 0o600), path)
  }

  /** Bytes written or about to be, without what is still being deflated. */
  get size(): number {
    return this.#out.position
  }

  /** Objects written or about to be. */
  get count(): number {
    return this.#entries.count + this.#queue.length
  }

  /** Whether this pack holds, or is about to hold, the object. */
  has(oid: Oid): boolean {
    return this.#known.has(oid)
  }

  /**
   * Whether this pack will hold the object, whatever happens to what it was written for, unless the whole pack fails.
   * So others need not write it.
   */
  lend(oid: Oid): boolean {
    if (this.#queue.failed || !this.#known.has(oid)) return false
    this.#lent.add(oid)
    return true
  }

  /** Begins a blob of exactly `size` bytes. */
  blobStart(size: number): void {
    const blob: OpenBlob = { size, entry: undefined }
    this.#intake.begin(size, (piece) => this.#accept(blob, piece))
    if (BlobIntake.streams(size)) blob.entry = this.#queue.add(encodeEntryHeader('blob', size))
    this.#blob = blob
  }

  /** Adds content to the blob begun. The bytes are copied. */
  blobData(data: Uint8Array): void {
    this.#intake.write(data)
  }

  /** Ends the blob and tells its id. */
  blobEnd(): Oid {
    const oid = this.#intake.id()
    const blob = this.#blob!
    this.#blob = undefined
    const known = this.#isKnown(oid)
    if (known) {
      this.#intake.drop()
    } else {
      this.#known.add(oid)
      blob.entry ??= this.#queue.add(encodeEntryHeader('blob', blob.size))
      this.#intake.keep()
    }
    if (blob.entry !== undefined) this.#queue.complete(blob.entry, known ? null : oid)
    return oid
  }

  /** Writes a whole object and tells its id. */
  object(type: GitObjectType, data: Uint8Array): Oid {
    if (type === 'blob') {
      // The target of a link may also be the content of a file, so every blob must be spliceable.
      this.blobStart(data.length)
      this.blobData(data)
      return this.blobEnd()
    }
    const oid = hashObject(type, data)
    if (this.#isKnown(oid)) return oid
    this.#known.add(oid)
    const deflated = deflateWhole(data, this.#options.level)
    this.#queue.addWhole(encodeEntryHeader(type, data.length), { oid, length: data.length, deflated })
    return oid
  }

  /**
   * Resolves when more may be written without memory growing beyond its bound.
   *
   * @throws whatever went wrong with deflate or disk since the last call
   */
  async ready(): Promise<void> {
    while (this.#queue.full) {
      this.#intake.flush()
      await this.#queue.relief()
    }
    this.#queue.check()
  }

  /** Waits until all that was written is on its way to the file, and tells where that is. */
  async mark(): Promise<PackMark> {
    await this.#drain()
    return { position: this.#out.position, entries: this.#entries.count }
  }

  /** Takes back everything since `mark`, a blob under way too. Only what was lent stays. */
  async rollback(mark: PackMark): Promise<void> {
    this.#dropBlob()
    await this.#drain()
    const { kept, dropped } = this.#entries.takeBack(mark.entries, this.#out.position, this.#lent)
    for (const oid of dropped) this.#known.delete(oid)
    this.#out.rewind(mark.position)
    try {
      for (const { entry, length } of kept) {
        const offset = this.#out.position
        await this.#out.moveUp(entry.offset, length)
        this.#entries.add({ ...entry, offset })
      }
      await this.#out.flush()
    } catch (error) {
      this.#queue.fail(error)
      throw error
    }
  }

  /**
   * Completes the pack: header, checksum, index and splice sidecar, all synced, then renamed into `packDir`. `undefined`
   * when nothing was written.
   */
  async finish(packDir: string, spliceDir: string): Promise<FinishedPack | undefined> {
    if (this.#blob !== undefined) throw new Error('a blob is not complete')
    try {
      await this.#drain()
      this.#out.close()
      if (this.#entries.count > 0) {
        await this.#file.truncate(this.#out.position)
        return await finishSortedPack({
          file: this.#file,
          path: this.#path,
          size: this.#out.position,
          ...(await this.#entries.inOrder()),
          packDir,
          spliceDir,
        })
      }
    } catch (error) {
      await this.abort()
      throw error
    }
    await this.abort()
    return undefined
  }

  /** Gives the pack up and removes its file. */
  async abort(): Promise<void> {
    this.#queue.fail(new GachixError('ERR_ABORTED', 'the pack was given up'))
    this.#dropBlob()
    await this.#queue.idle()
    await this.#file.close().catch(() => {})
    await unlink(this.#path).catch(() => {})
  }

  #isKnown(oid: Oid): boolean {
    return this.#known.has(oid) || this.#options.has(oid)
  }

  #dropBlob(): void {
    if (this.#blob?.entry !== undefined) this.#queue.complete(this.#blob.entry, null)
    this.#blob = undefined
    this.#intake.drop()
  }

  #accept({ entry }: OpenBlob, piece: BlobPiece): void {
    if (entry === undefined) throw new Error('the blob has no entry')
    this.#queue.addPiece(entry, piece)
  }

  async #drain(): Promise<void> {
    this.#intake.flush()
    await this.#queue.drain()
  }
}
