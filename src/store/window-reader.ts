import type { Pack } from '../git/pack/pack.ts'

const SMALLEST_WINDOW = 16 * 1024
const LARGEST_WINDOW = 256 * 1024
/** Windows kept at a time: a package whose files are spread over some packs reads each of them front to back. */
const MAX_WINDOWS = 4

interface Window {
  pack: Pack
  start: number
  bytes: Buffer
  /** The memory of `bytes`, used again for the next read that it is large enough for. */
  memory: Buffer
  /** Size of the next read when it goes on where this one ended. */
  next: number
}

/**
 * Reads short stretches of packs for one response. A package's blobs lie one after the other, so a stretch that
 * follows the one before is served from a window that grows while reading goes forward, and one that jumps costs a
 * small read.
 */
export class WindowReader {
  readonly #windows: Window[] = []

  /** `length` bytes at `position`; the view is valid until the next call. */
  async read(pack: Pack, position: number, length: number): Promise<Buffer> {
    let window = this.#windows.find((candidate) => candidate.pack === pack)
    if (
      window !== undefined &&
      position >= window.start &&
      position + length <= window.start + window.bytes.length
    ) {
      return window.bytes.subarray(position - window.start, position - window.start + length)
    }
    const end = window === undefined ? -1 : window.start + window.bytes.length
    const forward = window !== undefined && position >= window.start && position <= end + window.next
    const size = Math.max(length, forward && window !== undefined ? window.next : SMALLEST_WINDOW)
    const memory =
      window !== undefined && window.memory.length >= size ? window.memory : Buffer.allocUnsafeSlow(size)
    const bytes = memory.subarray(0, size)
    const read = await pack.readAt(bytes, position)
    if (read < length) {
      this.#windows.length = 0
      throw new RangeError(`pack ${pack.id} ends at ${position + read}, before ${position + length}`)
    }
    if (window === undefined) {
      if (this.#windows.length === MAX_WINDOWS) this.#windows.shift()
      window = { pack, start: position, bytes, memory, next: SMALLEST_WINDOW }
      this.#windows.push(window)
    }
    window.start = position
    window.bytes = bytes.subarray(0, read)
    window.memory = memory
    window.next = forward ? Math.min(window.next * 2, LARGEST_WINDOW) : SMALLEST_WINDOW
    return bytes.subarray(0, length)
  }
}
