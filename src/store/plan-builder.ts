import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { ObjectDatabase } from '../git/object-database.ts'
import { type Oid, oidsToBytes } from '../git/oid.ts'
import { crc32Combine } from '../git/splice/crc32-combine.ts'
import { GZIP_END_LENGTH, GZIP_HEADER_LENGTH } from '../git/splice/gzip.ts'
import { splicedLength } from '../git/splice/splice.ts'
import { storedLength } from '../git/splice/stored.ts'
import { NarFramer } from '../nix/nar/writer.ts'
import { release } from '../util/release.ts'
import { FramingDeflater } from './framing-deflater.ts'
import { type NarVisitor, TreeNotPackageError, walkNar } from './nar-walk.ts'
import { BLOB_KIND, NarPlan, type Strings } from './plan.ts'
import type { SpliceableBlob, SpliceRecords } from './splice-records.ts'

/** Raised when the way in which NARs are put into gzip members changes, because that changes their bytes. */
const GZIP_FORMAT = 'gachix gzip 2'

const INITIAL_STRINGS = 1024

/**
 * Makes the plan of a tree. Reads its tree objects and symbolic links; of files only the index, the splice records and
 * the entry headers.
 *
 * @throws TreeNotPackageError, CorruptObjectError, ObjectNotFoundError
 */
export async function makePlan(
  database: ObjectDatabase,
  records: SpliceRecords,
  tree: Oid,
  signal?: AbortSignal,
): Promise<NarPlan> {
  const builder = new PlanBuilder(database, records, tree)
  await walkNar(database, tree, builder, signal)
  return builder.finish()
}

/** Collects a plan from a walk. */
export class PlanBuilder implements NarVisitor {
  readonly #database: ObjectDatabase
  readonly #records: SpliceRecords
  readonly #tree: Oid
  readonly #framer = new NarFramer()
  readonly #framing = new StringsBuilder()
  readonly #deflater = new FramingDeflater()
  readonly #starts: number[] = []
  readonly #startOffsets: number[] = []
  readonly #oids: Oid[] = []
  readonly #sizes: number[] = []
  readonly #kinds: number[] = []
  readonly #lengths: number[] = []
  readonly #crcs: number[] = []
  /** Index of each blob of the kind `bits`, and its two positions. */
  readonly #bits: number[] = []
  readonly #id = createHash('sha256')
  #depth = 0
  #narSize = 0
  #gzipSize = GZIP_HEADER_LENGTH + GZIP_END_LENGTH
  #crc: number | undefined = 0
  #lastFile = { size: 0, offset: 0 }

  constructor(database: ObjectDatabase, records: SpliceRecords, tree: Oid) {
    this.#database = database
    this.#records = records
    this.#tree = tree
    this.#id.update(`${GZIP_FORMAT}\n${tree}\n`)
    this.#framer.start()
  }

  /** Length of the NAR as far as it is known. */
  get narSize(): number {
    return this.#narSize + this.#framer.length
  }

  /** Size of the file that came last, and where in the NAR its content begins. */
  get lastFile(): { readonly size: number; readonly offset: number } {
    return this.#lastFile
  }

  directoryStart(): void {
    this.#framer.directoryOpen()
    this.#depth++
  }

  entry(name: Buffer): void {
    this.#framer.entryOpen(name)
  }

  directoryEnd(): void {
    this.#framer.directoryClose()
    this.#depth--
    this.#nodeEnd()
  }

  symlink(target: Buffer): void {
    this.#framer.symlink(target)
    this.#nodeEnd()
  }

  file(executable: boolean, oid: Oid): void | Promise<void> {
    const found = this.#records.find(oid)
    if (found !== undefined) {
      this.#add(executable, oid, found.size, found)
      return
    }
    return this.#database.header(oid).then(({ type, size }) => {
      if (type !== 'blob') throw new TreeNotPackageError(this.#tree, `the file ${oid} is a ${type}`)
      this.#add(executable, oid, size, undefined)
    })
  }

  finish(): NarPlan {
    this.#takeFraming(0)
    const framing = this.#framing.finish()
    // zlib has a part in these bytes, and another version of it may deflate in another way.
    this.#id.update(framing.bytes)
    return new NarPlan({
      tree: this.#tree,
      framing,
      starts: Uint32Array.from(this.#starts),
      startOffsets: Float64Array.from(this.#startOffsets),
      oids: oidsToBytes(this.#oids),
      sizes: Float64Array.from(this.#sizes),
      kinds: Uint8Array.from(this.#kinds),
      deflatedLengths: Float64Array.from(this.#lengths),
      entryCrcs: Uint32Array.from(this.#crcs),
      bits: this.#allBits(),
      narSize: this.#narSize,
      gzipSize: this.#gzipSize,
      gzipId: this.#id.digest('hex').slice(0, 32),
      crc32: this.#crc,
    })
  }

  #add(executable: boolean, oid: Oid, size: number, blob: SpliceableBlob | undefined): void {
    this.#framer.fileOpen(executable, size)
    this.#takeFraming(size)
    this.#oids.push(oid)
    this.#sizes.push(size)
    this.#lengths.push(blob?.deflatedLength ?? 0)
    this.#crcs.push(blob?.crc32 ?? 0)
    this.#lastFile = { size, offset: this.#narSize }
    this.#narSize += size
    if (blob === undefined) {
      this.#kinds.push(BLOB_KIND.stored)
      this.#gzipSize += storedLength(size)
      this.#crc = undefined
      this.#id.update(`${oid} stored\n`)
    } else {
      const { record, deflatedLength } = blob
      this.#kinds.push(BLOB_KIND[record.kind])
      if (record.kind === 'bits') this.#bits.push(this.#sizes.length - 1, record.finalBit, record.endBit)
      this.#gzipSize += splicedLength(record, deflatedLength)
      if (this.#crc !== undefined) this.#crc = crc32Combine(this.#crc, record.crc32, size)
      this.#id.update(`${oid} ${blob.crc32} ${deflatedLength}\n`)
    }
    this.#framer.fileClose(size)
    this.#nodeEnd()
  }

  #nodeEnd(): void {
    if (this.#depth > 0) this.#framer.entryClose()
  }

  /** The framing before a file of that size, or at the end. */
  #takeFraming(size: number): void {
    const framing = this.#framer.take()
    const { bytes, alone } = this.#deflater.next(framing, size)
    if (alone) {
      this.#starts.push(this.#sizes.length)
      this.#startOffsets.push(this.#narSize)
    }
    this.#framing.add(bytes)
    this.#narSize += framing.length
    this.#gzipSize += bytes.length
    if (this.#crc !== undefined) this.#crc = crc32Combine(this.#crc, crc32(framing), framing.length)
  }

  #allBits(): Float64Array | undefined {
    if (this.#bits.length === 0) return undefined
    const all = new Float64Array(2 * this.#sizes.length)
    for (let i = 0; i < this.#bits.length; i += 3) all.set(this.#bits.slice(i + 1, i + 3), 2 * this.#bits[i]!)
    return all
  }
}

/** Collects strings. */
class StringsBuilder {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_STRINGS)
  #length = 0
  readonly #ends: number[] = []

  add(string: Buffer): void {
    const needed = this.#length + string.length
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length))
      this.#bytes.copy(larger, 0, 0, this.#length)
      release(this.#bytes)
      this.#bytes = larger
    }
    string.copy(this.#bytes, this.#length)
    this.#length = needed
    this.#ends.push(needed)
  }

  /** All of them; nothing can be added after this. */
  finish(): Strings {
    const bytes = Buffer.allocUnsafeSlow(this.#length)
    this.#bytes.copy(bytes, 0, 0, this.#length)
    release(this.#bytes)
    return { bytes, ends: Uint32Array.from(this.#ends) }
  }
}
