/** Copying entries of packs as they are, each compared with the CRC-32 that its index names. */
import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { release } from '../../util/release.ts'
import { writeFully } from '../durable-file.ts'
import { throwIfAborted } from '../inflate.ts'
import { CorruptPackError, UnmergeablePackError } from '../object-errors.ts'
import { isDelta, MAX_ENTRY_HEADER_BYTES, PACK_HEADER_BYTES, PACK_TRAILER_BYTES } from './format.ts'
import type { Pack } from './pack.ts'

/** Bytes in one read or write. */
const BUFFER_SIZE = 256 * 1024

/**
 * Copies one entry.
 *
 * @param position in the pack's index
 * @throws UnmergeablePackError when it is a delta or damaged
 */
export async function copyEntry(
  pack: Pack,
  position: number,
  source: CopySource,
  output: CopyOutput,
  signal: AbortSignal | undefined,
): Promise<void> {
  const start = pack.index.offsetAt(position)
  const length = pack.index.lengthFrom(start)
  if (!source.has(start, Math.min(length, MAX_ENTRY_HEADER_BYTES))) await source.fill(start)
  if (isDelta(pack.parseEntry(source.at(start, length), start).type))
    throw new UnmergeablePackError(pack, `object ${pack.index.oidAt(position)} is a delta`)
  let crc = 0
  for (let done = 0; done < length; ) {
    if (!source.has(start + done, 1)) {
      throwIfAborted(signal)
      await source.fill(start + done)
    }
    const piece = source.at(start + done, length - done)
    crc = crc32(piece, crc)
    done += piece.length
    for (let at = output.append(piece); at < piece.length; at += output.append(piece.subarray(at))) {
      await output.flush()
    }
  }
  if (crc !== pack.index.crc32At(position)) {
    throw new UnmergeablePackError(
      pack,
      `object ${pack.index.oidAt(position)} does not have the CRC-32 that the index names; check it with "git fsck"`,
    )
  }
}

/** A pack that is read front to back through a window. */
export class CopySource implements Disposable {
  readonly #pack: Pack
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE)
  #start = 0
  #length = 0

  constructor(pack: Pack) {
    this.#pack = pack
  }

  /** Gives the window's memory back. */
  [Symbol.dispose](): void {
    release(this.#buffer)
  }

  /** Whether the window has `length` bytes from `position` on. */
  has(position: number, length: number): boolean {
    return position >= this.#start && position + length <= this.#start + this.#length
  }

  /** Moves the window to `position`. @throws CorruptPackError when the file ends there */
  async fill(position: number): Promise<void> {
    const left = this.#pack.size - PACK_TRAILER_BYTES - position
    const length = await this.#pack.readAt(this.#buffer.subarray(0, Math.min(BUFFER_SIZE, left)), position)
    if (length === 0) throw new CorruptPackError(`${this.#pack.path} is cut off`)
    this.#start = position
    this.#length = length
  }

  /** At most `length` bytes from `position` on, as far as the window has them; valid until the next `fill`. */
  at(position: number, length: number): Buffer {
    const from = position - this.#start
    return this.#buffer.subarray(from, Math.min(from + length, this.#length))
  }
}

/** The file that is written, through a buffer. */
export class CopyOutput implements Disposable {
  readonly #file: FileHandle
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE)
  #used = 0
  #written = PACK_HEADER_BYTES

  constructor(file: FileHandle) {
    this.#file = file
  }

  /** Gives the buffer's memory back; what was not flushed is gone. */
  [Symbol.dispose](): void {
    release(this.#buffer)
  }

  /** Where the next byte goes in the file. */
  get position(): number {
    return this.#written + this.#used
  }

  /** Takes as many of the bytes as there is room for; gives their number. */
  append(bytes: Buffer): number {
    const count = bytes.copy(this.#buffer, this.#used)
    this.#used += count
    return count
  }

  async flush(): Promise<void> {
    await writeFully(this.#file, this.#buffer.subarray(0, this.#used), this.#written)
    this.#written += this.#used
    this.#used = 0
  }
}
