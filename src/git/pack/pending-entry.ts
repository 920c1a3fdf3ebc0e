import type { Oid } from '../oid.ts'
import type { BlobPiece } from './blob-intake.ts'

/** An object that is to be written: it waits in the queue for those before it, and for its chunks. */
export interface PendingEntry {
  readonly header: Buffer
  /** Chunks that are being deflated; `undefined` once accounted for, as a large blob's must not pile up. */
  readonly pieces: Array<BlobPiece | undefined>
  /** Chunks that have come back from the pool and are accounted for. */
  done: number
  /** Set when the content is complete: the object's id, or `null` when it turned out to be known. */
  oid: Oid | null | undefined
  /** An object that is written whole: deflated, or on the way to be. */
  readonly whole?: WholeObject
}

/** An object that is not written in pieces. */
export interface WholeObject {
  readonly oid: Oid
  /** Length of the content. */
  readonly length: number
  readonly deflated: Buffer | Promise<Buffer>
}

export function pendingEntry(header: Buffer, whole?: WholeObject): PendingEntry {
  const entry = { header, pieces: [], done: 0, oid: whole?.oid }
  return whole === undefined ? entry : { ...entry, whole }
}
