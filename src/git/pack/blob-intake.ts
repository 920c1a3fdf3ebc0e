import type { Hash } from 'node:crypto'
import { CHUNK_SIZE, type EncodedChunk } from '../deflate/chunk.ts'
import type { DeflatePool } from '../deflate/pool.ts'
import type { Portion } from '../deflate/portion.ts'
import { createObjectHash, type Oid } from '../oid.ts'

/** Blobs of up to this many bytes are hashed before they are deflated, which those that are known are not then. */
const HELD_BYTES = 4 * 1024 * 1024

/** A chunk of a blob that is being deflated. */
export interface BlobPiece {
  /** Length of the content. */
  readonly length: number
  readonly chunk: Promise<EncodedChunk>
  /** To be called when the chunk is not needed any more: its memory is used again. */
  readonly release: () => void
}

export type PieceHandler = (piece: BlobPiece) => void

interface IntakeBlob {
  readonly size: number
  readonly hash: Hash
  received: number
  readonly onPiece: PieceHandler
  /** Full chunks that wait until the id is known. */
  readonly held: Portion[]
  /** Where the content goes at present, and from where on it is this blob's. */
  portion: Portion
  used: number
}

/** Contents of small blobs that travel together. */
interface Batch {
  readonly portion: Portion
  readonly chunks: PromiseWithResolvers<EncodedChunk[]>
  /** Chunks, of those to come too, that somebody still needs. */
  left: number
}

/**
 * Takes the contents of blobs in, one after the other, and cuts them into the chunks of the canonical encoding. What is
 * known by its id is not deflated; only of blobs of more than `HELD_BYTES`, whose content cannot wait, the id comes too late.
 */
export class BlobIntake {
  readonly #pool: DeflatePool
  #blob: IntakeBlob | undefined
  #batch: Batch | undefined

  constructor(pool: DeflatePool) {
    this.#pool = pool
  }

  /** Whether pieces of a blob of this size come before its end. */
  static streams(size: number): boolean {
    return size > HELD_BYTES
  }

  /** Begins a blob of `size` bytes. `onPiece` gets its chunks as they begin to be deflated, in order. */
  begin(size: number, onPiece: PieceHandler): void {
    if (this.#blob !== undefined) throw new Error('the previous blob is not complete')
    const hash = createObjectHash('blob', size)
    const portion = size > CHUNK_SIZE ? this.#pool.take() : this.#roomFor(size)
    this.#blob = { size, hash, received: 0, onPiece, held: [], portion, used: portion.size }
  }

  /** Adds content, which is copied. */
  write(data: Uint8Array): void {
    const blob = this.#open()
    blob.received += data.length
    if (blob.received > blob.size) throw new Error('more data than the blob was declared to have')
    blob.hash.update(data)
    for (let offset = 0; offset < data.length; ) {
      if (blob.used - blob.portion.size === CHUNK_SIZE) this.#nextChunk(blob)
      const length = Math.min(CHUNK_SIZE - (blob.used - blob.portion.size), data.length - offset)
      blob.portion.bytes.set(data.subarray(offset, offset + length), blob.used)
      blob.used += length
      offset += length
    }
  }

  /** The id of the blob, whose content is complete; `keep` or `drop` follows. */
  id(): Oid {
    const blob = this.#open()
    if (blob.received !== blob.size) throw new Error('the blob has less data than declared')
    return blob.hash.digest('hex')
  }

  /** Ends the blob and has all that was not yet deflated deflated. */
  keep(): void {
    const blob = this.#open()
    this.#blob = undefined
    if (blob.size === 0) return
    if (blob.size <= CHUNK_SIZE) {
      this.#join(blob)
      return
    }
    for (const portion of blob.held) this.#send(portion, blob.onPiece)
    blob.portion.add(blob.used)
    this.#send(blob.portion, blob.onPiece)
  }

  /** Forgets the blob under way, if any, complete or not. Pieces that were handed out are whoever got them's. */
  drop(): void {
    const blob = this.#blob
    this.#blob = undefined
    if (blob === undefined || blob.size <= CHUNK_SIZE) return
    for (const portion of [...blob.held, blob.portion]) this.#pool.give(portion)
  }

  /** Has the small blobs that were collected deflated now. */
  flush(): void {
    const batch = this.#batch
    if (batch === undefined || batch.left === 0) return
    this.#batch = undefined
    const blob = this.#blob
    if (blob?.portion === batch.portion) {
      // What there is of the blob under way moves on.
      const part = batch.portion.bytes.subarray(batch.portion.size, blob.used)
      blob.portion = this.#roomFor(blob.size)
      blob.portion.bytes.set(part)
      blob.used = part.length
    }
    const { resolve, reject } = batch.chunks
    this.#pool.encode(batch.portion).then(resolve, reject)
  }

  #open(): IntakeBlob {
    if (this.#blob === undefined) throw new Error('no blob was begun')
    return this.#blob
  }

  /** A portion with room for a small blob behind those that were collected. */
  #roomFor(size: number): Portion {
    if (this.#batch?.portion.fits(size) === false) this.flush()
    this.#batch ??= { portion: this.#pool.take(), chunks: Promise.withResolvers(), left: 0 }
    return this.#batch.portion
  }

  #join(blob: IntakeBlob): void {
    const batch = this.#batch
    if (batch?.portion !== blob.portion) throw new Error('the batch has gone before its blob was complete')
    if (batch.left++ === 0) {
      this.#pool.whenReady(() => {
        if (this.#batch === batch) this.flush()
      })
    }
    const index = batch.portion.add(blob.size)
    const chunk = batch.chunks.promise.then((chunks) => chunks[index]!)
    const release = () => {
      if (--batch.left === 0) this.#pool.give(batch.portion)
    }
    blob.onPiece({ length: blob.size, chunk, release })
  }

  #nextChunk(blob: IntakeBlob): void {
    blob.portion.add(CHUNK_SIZE)
    if (BlobIntake.streams(blob.size)) this.#send(blob.portion, blob.onPiece)
    else blob.held.push(blob.portion)
    blob.portion = this.#pool.take()
    blob.used = 0
  }

  #send(portion: Portion, onPiece: PieceHandler): void {
    const chunk = this.#pool.encode(portion).then(([only]) => only!)
    onPiece({ length: portion.size, chunk, release: () => this.#pool.give(portion) })
  }
}
