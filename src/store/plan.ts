import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { ObjectDatabase } from '../git/object-database.ts'
import type { Oid } from '../git/oid.ts'
import { crc32Combine } from '../git/splice/crc32-combine.ts'
import { GZIP_END_LENGTH, GZIP_HEADER_LENGTH } from '../git/splice/gzip.ts'
import type { SpliceRecord } from '../git/splice/record.ts'
import { splicedLength } from '../git/splice/splice.ts'
import { storedLength } from '../git/splice/stored.ts'
import { NarFramer } from '../nix/nar/writer.ts'
import { type NarVisitor, TreeNotPackageError, walkNar } from './nar-walk.ts'
import type { SpliceRecords } from './splice-records.ts'

/** One file of a NAR and the framing before its first byte. */
export interface PlanFile {
  /** NAR bytes between the previous file's last content byte and this one's first. */
  readonly framing: Buffer
  readonly oid: Oid
  readonly size: number
  /** How the blob goes into a gzip member: `none` means inflated and put into stored blocks. */
  readonly record: SpliceRecord
  /** Length of the blob's zlib stream in its pack; 0 when it is not spliced. */
  readonly deflatedLength: number
  /** CRC-32 of the pack entry, which tells one encoding of a blob from another; 0 when it is not spliced. */
  readonly entryCrc: number
}

/**
 * A package's NAR as a flat list of framing and blobs. Everything that a server must know before it sends the first
 * byte comes from it: the length of the NAR and of its gzip form, and what makes the gzip form's bytes.
 */
export interface NarPlan {
  readonly tree: Oid
  readonly files: readonly PlanFile[]
  /** NAR bytes after the last file's content. */
  readonly tail: Buffer
  /** Length of the plain NAR in bytes. */
  readonly narSize: number
  /** Length of the gzip member in bytes. */
  readonly gzipSize: number
  /**
   * Identifies the bytes of the gzip member: a digest of the tree and of every blob's place in it, as the pack index's
   * CRC-32 and length of the entry. It changes when a repack changes how a blob is deflated, and only then.
   */
  readonly gzipId: string
  /** CRC-32 of the NAR, unless a blob's own is unknown. */
  readonly crc32: number | undefined
}

/** Raised when the way in which NARs are put into gzip members changes, because that changes their bytes. */
const GZIP_FORMAT = 'gachix gzip 1'

/** Rough memory that a plan takes, for bounding caches. */
export function planMemory(plan: NarPlan): number {
  return plan.files.reduce((sum, file) => sum + file.framing.length + 300, plan.tail.length + 300)
}

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
  readonly #files: PlanFile[] = []
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
      this.#add(executable, oid, found.size, found.record, found.deflatedLength, found.crc32)
      return
    }
    return this.#database.header(oid).then(({ type, size }) => {
      if (type !== 'blob') throw new TreeNotPackageError(this.#tree, `the file ${oid} is a ${type}`)
      this.#add(executable, oid, size, { kind: 'none' }, 0, 0)
    })
  }

  finish(): NarPlan {
    const tail = this.#framer.take()
    this.#countFraming(tail)
    return {
      tree: this.#tree,
      files: this.#files,
      tail,
      narSize: this.#narSize,
      gzipSize: this.#gzipSize,
      gzipId: this.#id.digest('hex').slice(0, 32),
      crc32: this.#crc,
    }
  }

  #add(
    executable: boolean,
    oid: Oid,
    size: number,
    record: SpliceRecord,
    deflatedLength: number,
    entryCrc: number,
  ): void {
    this.#framer.fileOpen(executable, size)
    const framing = this.#framer.take()
    this.#countFraming(framing)
    this.#files.push({ framing, oid, size, record, deflatedLength, entryCrc })
    this.#lastFile = { size, offset: this.#narSize }
    this.#narSize += size
    if (record.kind === 'none') {
      this.#gzipSize += storedLength(size)
      this.#crc = undefined
      this.#id.update(`${oid} stored\n`)
    } else {
      this.#gzipSize += splicedLength(record, deflatedLength)
      if (this.#crc !== undefined) this.#crc = crc32Combine(this.#crc, record.crc32, size)
      this.#id.update(`${oid} ${entryCrc} ${deflatedLength}\n`)
    }
    this.#framer.fileClose(size)
    this.#nodeEnd()
  }

  #nodeEnd(): void {
    if (this.#depth > 0) this.#framer.entryClose()
  }

  #countFraming(framing: Buffer): void {
    this.#narSize += framing.length
    this.#gzipSize += storedLength(framing.length)
    if (this.#crc !== undefined) this.#crc = crc32Combine(this.#crc, crc32(framing), framing.length)
  }
}
