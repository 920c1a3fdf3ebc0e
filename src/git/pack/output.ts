import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { writeFully } from '../durable-file.ts'

/** Bytes collected before they go to the file in one write. */
const WRITE_SIZE = 512 * 1024

/** Writes a file front to back in large pieces, and can go back to write a part anew. */
export class PackOutput {
  readonly #file: FileHandle
  #position: number
  #parts: Uint8Array[] = []
  #collected = 0

  /** @param position where writing begins */
  constructor(file: FileHandle, position: number) {
    this.#file = file
    this.#position = position
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#position
  }

  /** Adds bytes, which must not change until they are flushed; gives the CRC-32 `crc` continued by them. */
  emit(bytes: Uint8Array, crc: number): number {
    this.#parts.push(bytes)
    this.#collected += bytes.length
    this.#position += bytes.length
    return crc32(bytes, crc)
  }

  /** Writes what is collected once it is worth a write. */
  async settle(): Promise<void> {
    if (this.#collected >= WRITE_SIZE) await this.flush()
  }

  /** Writes all that is collected. */
  async flush(): Promise<void> {
    if (this.#collected === 0) return
    const data = Buffer.concat(this.#parts, this.#collected)
    const position = this.#position - this.#collected
    this.#parts = []
    this.#collected = 0
    await writeFully(this.#file, data, position)
  }

  /** Goes back: what was written from `position` on is to be overwritten. Everything must be flushed. */
  rewind(position: number): void {
    if (this.#collected > 0) throw new Error('the output is not flushed')
    this.#position = position
  }
}
