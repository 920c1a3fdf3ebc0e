import type { Hash } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { GachixError } from '../../util/errors.ts'
import { CHUNK_SIZE, deflateWhole, type EncodedChunk, FINAL_BLOCK, ZLIB_HEADER } from '../deflate/chunk.ts'
import type { DeflatePool } from '../deflate/pool.ts'
import { createObjectHash, type GitObjectType, hashObject, type Oid } from '../oid.ts'
import { adler32Combine } from '../splice/adler32.ts'
import type { SpliceRecord } from '../splice/record.ts'
import { BlobChunks } from './blob-chunks.ts'
import { type FinishedPack, finishPack, type PackEntry } from './finish.ts'
import { encodeEntryHeader, PACK_HEADER_BYTES } from './format.ts'
import { PackOutput } from './output.ts'

/** Content bytes that may wait for deflate and disk before `ready()` makes the caller wait. */
const IN_FLIGHT_LIMIT = 2 * 1024 * 1024
/** Entries that may wait: each costs some hundred bytes beside its content. */
const IN_FLIGHT_ENTRIES = 4096

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

interface PendingEntry {
  readonly header: Buffer
  /** Chunks that are being deflated; `undefined` once accounted for, as a large blob's must not pile up. */
  readonly chunks: Array<Promise<EncodedChunk> | undefined>
  /** Length of the content of each chunk. */
  readonly lengths: number[]
  /** Chunks that have come back from the pool and are accounted for. */
  done: number
  /** Set when the content is complete: the object's id, or `null` when it turned out to be known. */
  oid: Oid | null | undefined
  /** An object that is deflated already. */
  readonly deflated?: Buffer
  contentCrc: number
}

interface OpenBlob {
  readonly size: number
  readonly hash: Hash
  received: number
  readonly chunks: BlobChunks
  /** Only for blobs of more than one chunk, which are written before their id is known. */
  entry: PendingEntry | undefined
}

/**
 * Writes one pack, front to back, with every blob in the canonical spliceable encoding (see `deflate/chunk.ts`).
 *
 * Contents go in synchronously, in pieces of any size; deflate and disk work behind, in order. Blobs that the
 * repository has are left out: small ones before they are deflated, large ones by taking their entry back. Memory is
 * bounded when the caller awaits `ready()` between pieces.
 */
export class PackWriter {
  readonly #options: PackWriterOptions
  readonly #file: FileHandle
  readonly #path: string
  readonly #queue: PendingEntry[] = []
  readonly #entries: PackEntry[] = []
  readonly #known = new Set<Oid>()
  #blob: OpenBlob | undefined
  #inFlight = 0
  readonly #out: PackOutput
  #running: Promise<void> | undefined
  #wake: (() => void) | undefined
  #error: unknown
  #relief: PromiseWithResolvers<void> | undefined

  private constructor(options: PackWriterOptions, file: FileHandle, path: string) {
    this.#options = options
    this.#file = file
    this.#path = path
    this.#out = new PackOutput(file, PACK_HEADER_BYTES)
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
    return this.#entries.length + this.#queue.length
  }

  /** Whether this pack holds, or is about to hold, the object. */
  has(oid: Oid): boolean {
    return this.#known.has(oid)
  }

  /** Begins a blob of exactly `size` bytes. */
  blobStart(size: number): void {
    if (this.#blob !== undefined) throw new Error('the previous blob is not complete')
    const blob: OpenBlob = {
      size,
      hash: createObjectHash('blob', size),
      received: 0,
      chunks: new BlobChunks(size, (buffer, dictionary) => this.#encode(blob, buffer, dictionary)),
      entry: size > CHUNK_SIZE ? this.#enqueue(encodeEntryHeader('blob', size)) : undefined,
    }
    this.#blob = blob
  }

  /** Adds content to the blob begun. The bytes are copied. */
  blobData(data: Uint8Array): void {
    const blob = this.#openBlob()
    blob.received += data.length
    if (blob.received > blob.size) throw new Error('more data than the blob was declared to have')
    blob.hash.update(data)
    blob.chunks.write(data)
  }

  /** Ends the blob and tells its id. */
  blobEnd(): Oid {
    const blob = this.#openBlob()
    if (blob.received !== blob.size) throw new Error('the blob has less data than declared')
    this.#blob = undefined
    const oid = blob.hash.digest('hex')
    const known = this.#isKnown(oid)
    if (!known) {
      this.#known.add(oid)
      blob.entry ??= this.#enqueue(encodeEntryHeader('blob', blob.size))
      if (blob.size > 0) blob.chunks.end()
    }
    if (blob.entry !== undefined) blob.entry.oid = known ? null : oid
    this.#wake?.()
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
    const entry = this.#enqueue(encodeEntryHeader(type, data.length), deflated)
    entry.oid = oid
    this.#wake?.()
    return oid
  }

  /**
   * Resolves when more may be written without memory growing beyond its bound.
   *
   * @throws whatever went wrong with deflate or disk since the last call
   */
  async ready(): Promise<void> {
    while (
      this.#error === undefined &&
      (this.#inFlight > IN_FLIGHT_LIMIT || this.#queue.length > IN_FLIGHT_ENTRIES)
    ) {
      this.#relief ??= Promise.withResolvers()
      await this.#relief.promise
    }
    if (this.#error !== undefined) throw this.#error
  }

  /** Waits until all that was written is on its way to the file, and tells where that is. */
  async mark(): Promise<PackMark> {
    await this.#drain()
    return { position: this.#out.position, entries: this.#entries.length }
  }

  /** Takes back everything since `mark`, a blob under way too. */
  async rollback(mark: PackMark): Promise<void> {
    if (this.#blob?.entry !== undefined) this.#blob.entry.oid = null
    this.#blob = undefined
    this.#wake?.()
    await this.#drain()
    for (const entry of this.#entries.splice(mark.entries)) this.#known.delete(entry.oid)
    this.#out.rewind(mark.position)
  }

  /**
   * Completes the pack: header, checksum, index and splice sidecar, all synced, then renamed into `packDir`. `undefined`
   * when nothing was written.
   */
  async finish(packDir: string, spliceDir: string): Promise<FinishedPack | undefined> {
    if (this.#blob !== undefined) throw new Error('a blob is not complete')
    try {
      await this.#drain()
      if (this.#entries.length > 0) {
        await this.#file.truncate(this.#out.position)
        return await finishPack({
          file: this.#file,
          path: this.#path,
          size: this.#out.position,
          entries: this.#entries,
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
    this.#error ??= new GachixError('ERR_ABORTED', 'the pack was given up')
    if (this.#blob?.entry !== undefined) this.#blob.entry.oid = null
    this.#blob = undefined
    this.#wake?.()
    await this.#running?.catch(() => {})
    await this.#file.close().catch(() => {})
    await unlink(this.#path).catch(() => {})
  }

  #isKnown(oid: Oid): boolean {
    return this.#known.has(oid) || this.#options.has(oid)
  }

  #openBlob(): OpenBlob {
    if (this.#blob === undefined) throw new Error('no blob was begun')
    return this.#blob
  }

  #encode(blob: OpenBlob, buffer: Uint8Array<ArrayBuffer>, dictionary: number): void {
    const { entry } = blob
    if (entry === undefined) throw new Error('the blob has no entry')
    const content = buffer.subarray(dictionary)
    const { length } = content
    entry.contentCrc = crc32(content, entry.contentCrc)
    this.#inFlight += length
    entry.lengths.push(length)
    const encoded = this.#options.pool.encode(buffer, dictionary)
    // The queue awaits chunks one after the other; a failure of a later one must not count as unhandled until then.
    encoded.catch(() => {})
    entry.chunks.push(encoded)
    this.#wake?.()
  }

  #enqueue(header: Buffer, deflated?: Buffer): PendingEntry {
    const entry: PendingEntry = {
      header,
      chunks: [],
      lengths: [],
      done: 0,
      oid: undefined,
      contentCrc: 0,
      ...(deflated === undefined ? {} : { deflated }),
    }
    this.#queue.push(entry)
    this.#running ??= this.#work()
    return entry
  }

  /** Writes the queue until it is empty. */
  async #work(): Promise<void> {
    try {
      // The caller is in the middle of adding to the entry that started this.
      await null
      do {
        for (let entry = this.#queue[0]; entry !== undefined; entry = this.#queue[0]) {
          if (this.#error !== undefined) throw this.#error
          await this.#writeEntry(entry)
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

  async #writeEntry(entry: PendingEntry): Promise<void> {
    const offset = this.#out.position
    let crc = this.#out.emit(entry.header, 0)
    let splice: SpliceRecord = { kind: 'none' }
    if (entry.deflated !== undefined) {
      crc = this.#out.emit(entry.deflated, crc)
    } else {
      crc = this.#out.emit(ZLIB_HEADER, crc)
      let adler = 1
      while (entry.oid === undefined || entry.done < entry.chunks.length) {
        if (this.#error !== undefined) throw this.#error
        if (entry.oid === null) break
        const pending = entry.chunks[entry.done]
        if (pending === undefined) {
          await this.#moreOf()
          continue
        }
        const chunk = await pending
        const length = this.#account(entry)
        adler = adler32Combine(adler, chunk.adler32, length)
        crc = this.#out.emit(chunk.deflated, crc)
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
      splice = { kind: 'canonical', crc32: entry.contentCrc }
    }
    this.#entries.push({ oid: entry.oid!, offset, crc32: crc, splice })
    await this.#out.settle()
  }

  /** A large blob turned out to be known, or was given up: forget what was written of it. */
  async #takeBack(entry: PendingEntry, offset: number): Promise<void> {
    while (entry.done < entry.chunks.length) {
      await entry.chunks[entry.done]
      this.#account(entry)
    }
    await this.#out.flush()
    this.#out.rewind(offset)
  }

  /** Lets go of an entry's next chunk, which has come back from the pool; gives the length of its content. */
  #account(entry: PendingEntry): number {
    const length = entry.lengths[entry.done]!
    entry.chunks[entry.done++] = undefined
    this.#inFlight -= length
    return length
  }

  #moreOf(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        resolve()
      }
    })
  }

  async #drain(): Promise<void> {
    while (this.#running !== undefined) await this.#running
    if (this.#error !== undefined) throw this.#error
  }

  #relieve(): void {
    this.#relief?.resolve()
    this.#relief = undefined
  }
}
