import { OID_BYTES, type Oid } from '../git/oid.ts'
import type { SpliceShape } from '../git/splice/record.ts'

/** Byte strings one after the other: string `i` is `bytes[ends[i - 1], ends[i])`. */
export interface Strings {
  readonly bytes: Buffer
  readonly ends: Uint32Array
}

/** How a blob goes into a gzip member: not at all, so that it is inflated and put into stored blocks, or spliced. */
export const BLOB_KIND = { stored: 0, canonical: 1, bits: 2 } as const

/** What a plan is made of. Arrays have an element a file, in the order of the NAR. */
export interface NarPlanParts {
  readonly tree: Oid
  /**
   * The NAR bytes before each file's content, and at last those after the last one's, as deflate blocks, none of them final,
   * beginning and ending at byte boundaries.
   */
  readonly framing: Strings
  /** The files whose framing can be inflated without what comes before, in ascending order. */
  readonly starts: Uint32Array
  /** Where in the NAR the framing of each of those begins. */
  readonly startOffsets: Float64Array
  /** Ids of the blobs, 20 bytes each. */
  readonly oids: Buffer
  readonly sizes: Float64Array
  /** `BLOB_KIND` of each blob. */
  readonly kinds: Uint8Array
  /** Lengths of the zlib streams in their packs; 0 for blobs that are not spliced. */
  readonly deflatedLengths: Float64Array
  /** CRC-32 of the pack entries, which tell one encoding of a blob from another; 0 for blobs that are not spliced. */
  readonly entryCrcs: Uint32Array
  /** `finalBit` and `endBit` of each blob of the kind `bits`; absent when there is none. */
  readonly bits: Float64Array | undefined
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

/**
 * A package's NAR as a flat list of framing and blobs. Everything that a server must know before it sends the first
 * byte comes from it: the length of the NAR and of its gzip form, and what makes the gzip form's bytes. It is kept in a few
 * large arrays, because packages have up to hundreds of thousands of files and many plans are kept.
 */
export class NarPlan {
  readonly parts: NarPlanParts

  constructor(parts: NarPlanParts) {
    this.parts = parts
  }

  get tree(): Oid {
    return this.parts.tree
  }

  /** Number of files. */
  get count(): number {
    return this.parts.sizes.length
  }

  get narSize(): number {
    return this.parts.narSize
  }

  get gzipSize(): number {
    return this.parts.gzipSize
  }

  get gzipId(): string {
    return this.parts.gzipId
  }

  get crc32(): number | undefined {
    return this.parts.crc32
  }

  /** Whether every blob can be spliced. */
  get spliced(): boolean {
    return !this.parts.kinds.includes(BLOB_KIND.stored)
  }

  /** Whether every blob is in the canonical encoding. */
  get canonical(): boolean {
    return this.parts.kinds.every((kind) => kind === BLOB_KIND.canonical)
  }

  /** Rough memory in bytes. */
  get memory(): number {
    const { framing, starts, oids, sizes, bits } = this.parts
    const fixed = FILE_MEMORY * sizes.length + 12 * starts.length
    return PLAN_MEMORY + framing.bytes.length + oids.length + fixed + (bits?.byteLength ?? 0)
  }

  /** The last file at or before a position of the NAR from whose framing on the NAR can be inflated. */
  startBefore(position: number): { readonly file: number; readonly offset: number } {
    const { starts, startOffsets } = this.parts
    let low = 0
    for (let high = starts.length; high - low > 1; ) {
      const middle = (low + high) >>> 1
      if (startOffsets[middle]! <= position) low = middle
      else high = middle
    }
    return { file: starts[low]!, offset: startOffsets[low]! }
  }

  oid(file: number): Oid {
    return this.parts.oids.toString('hex', file * OID_BYTES, (file + 1) * OID_BYTES)
  }

  /** How a blob is spliced; `undefined` for one that is not. */
  shape(file: number): SpliceShape | undefined {
    const kind = this.parts.kinds[file]
    if (kind === BLOB_KIND.canonical) return CANONICAL
    if (kind !== BLOB_KIND.bits) return undefined
    const bits = this.parts.bits!
    return { kind: 'bits', finalBit: bits[2 * file]!, endBit: bits[2 * file + 1]! }
  }
}

/** Memory of a plan beside its arrays. */
const PLAN_MEMORY = 2048
/** Memory that a file takes in arrays of fixed width, its place in a pack included. */
const FILE_MEMORY = 37

const CANONICAL: SpliceShape = { kind: 'canonical' }
