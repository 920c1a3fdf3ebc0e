import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { release } from '../../util/release.ts'
import { writeFully } from '../durable-file.ts'

/** Bytes collected before they go to the file. */
const WRITE_SIZE = 512 * 1024
/** Memory for so many is used again. */
const KEPT_BLOCKS = 2

/** Writes a file front to back in large pieces, and can go back to write a part anew. */
export class PackOutput {
  readonly #file: FileHandle
  #position: number
  /** What is to be written: blocks that are full, and one that is being filled. */
  #full: Buffer[] = []
  #block: Buffer | undefined
  #used = 0
  readonly #free: Buffer[] = []

  /** @param position where writing begins */
  constructor(file: FileHandle, position: number) {
    this.#file = file
    this.#position = position
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#position
  }

  /** Adds bytes, which are copied; gives the CRC-32 `crc` continued by them. */
  emit(bytes: Uint8Array, crc: number): number {
    for (let at = 0; at < bytes.length; ) {
      this.#block ??= this.#free.pop() ?? Buffer.allocUnsafeSlow(WRITE_SIZE)
      const part = bytes.subarray(at, at + this.#block.length - this.#used)
      this.#block.set(part, this.#used)
      this.#used += part.length
      at += part.length
      if (this.#used < this.#block.length) continue
      this.#full.push(this.#block)
      this.#block = undefined
      this.#used = 0
    }
    this.#position += bytes.length
    return crc32(bytes, crc)
  }

  /** Writes what is collected once it is worth a write. */
  async settle(): Promise<void> {
    if (this.#full.length > 0) await this.flush()
  }

  /** Writes all that is collected. */
  async flush(): Promise<void> {
    const blocks = this.#full
    const used = this.#used
    let position = this.#position - used - blocks.length * WRITE_SIZE
    if (this.#block !== undefined) blocks.push(this.#block)
    this.#full = []
    this.#block = undefined
    this.#used = 0
    for (const [i, block] of blocks.entries()) {
      const isLast = used > 0 && i === blocks.length - 1
      const part = isLast ? block.subarray(0, used) : block
      await writeFully(this.#file, part, position)
      position += part.length
      if (this.#free.length < KEPT_BLOCKS) this.#free.push(block)
      else release(block)
    }
  }

  /** Gives the memory back, once everything is flushed and nothing more is to come. */
  close(): void {
    for (const block of this.#free.splice(0)) release(block)
  }

  /** Adds `length` bytes of the file again, which begin at `from`, at or behind where the next byte goes. */
  async moveUp(from: number, length: number): Promise<void> {
    const buffer = Buffer.allocUnsafe(Math.min(WRITE_SIZE, length))
    for (let at = from; at < from + length; ) {
      const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.length, from + length - at), at)
      if (bytesRead === 0) throw new Error('the pack is shorter than what was written to it')
      this.emit(buffer.subarray(0, bytesRead), 0)
      at += bytesRead
      await this.settle()
    }
  }

  /** Goes back: what was written from `position` on is to be overwritten. Everything must be flushed. */
  rewind(position: number): void {
    if (this.#block !== undefined || this.#full.length > 0) throw new Error('the output is not flushed')
    this.#position = position
  }
}
