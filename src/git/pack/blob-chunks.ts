import { CHUNK_SIZE, DICTIONARY_SIZE } from '../deflate/chunk.ts'

/** Takes a chunk over: its dictionary and its content, one after the other. */
export type ChunkHandler = (buffer: Uint8Array<ArrayBuffer>, dictionaryLength: number) => void

/** Cuts a blob's content into the chunks of the canonical encoding, each behind its dictionary. */
export class BlobChunks {
  readonly #size: number
  readonly #onChunk: ChunkHandler
  #buffer: Uint8Array<ArrayBuffer>
  #dictionary = 0
  #used = 0
  /** Content in the chunks before the one under way. */
  #handed = 0

  /** @param size of the whole content in bytes */
  constructor(size: number, onChunk: ChunkHandler) {
    this.#size = size
    this.#onChunk = onChunk
    this.#buffer = new Uint8Array(Math.min(size, CHUNK_SIZE))
  }

  /** Adds content, which is copied; not more in all than the size. */
  write(data: Uint8Array): void {
    for (let offset = 0; offset < data.length; ) {
      if (this.#used === this.#buffer.length) this.#next()
      const length = Math.min(this.#buffer.length - this.#used, data.length - offset)
      this.#buffer.set(data.subarray(offset, offset + length), this.#used)
      this.#used += length
      offset += length
    }
  }

  /** Hands out the last chunk. To be called once, when the content is complete and not empty. */
  end(): void {
    this.#onChunk(this.#buffer, this.#dictionary)
  }

  #next(): void {
    const previous = this.#buffer
    const tail = previous.slice(previous.length - DICTIONARY_SIZE)
    this.#handed += previous.length - this.#dictionary
    this.#onChunk(previous, this.#dictionary)
    this.#buffer = new Uint8Array(DICTIONARY_SIZE + Math.min(CHUNK_SIZE, this.#size - this.#handed))
    this.#buffer.set(tail)
    this.#dictionary = DICTIONARY_SIZE
    this.#used = DICTIONARY_SIZE
  }
}
