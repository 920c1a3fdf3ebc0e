import { createHash } from 'node:crypto'
import { createReclaimer } from '../../util/reclaim.ts'
import { release } from '../../util/release.ts'
import { throwIfAborted } from '../inflate.ts'
import { BudgetExceededError, PackInvalidError } from './receive-errors.ts'

/** The most bytes that can be looked at together: the window. */
export const WINDOW_SIZE = 1024 * 1024

/**
 * A pack that comes in chunks of any size, seen through a window. What is passed over goes into the SHA-1 that the
 * pack's last bytes must be.
 */
export class PackInput {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #limit: number
  readonly #signal: AbortSignal | undefined
  readonly #hash = createHash('sha1')
  readonly #reclaim = createReclaimer()
  readonly #window = Buffer.allocUnsafeSlow(WINDOW_SIZE)
  #start = 0
  #end = 0
  /** What of the last chunk did not fit into the window. */
  #rest: Uint8Array = new Uint8Array(0)
  #received = 0
  #position = 0
  #ended = false
  #failed = false
  #failure: unknown

  /** @param limit the most bytes to take */
  constructor(source: AsyncIterable<Uint8Array>, limit: number, signal: AbortSignal | undefined) {
    this.#source = source[Symbol.asyncIterator]()
    this.#limit = limit
    this.#signal = signal
  }

  /** Whether the source has failed; what came before can still be read. */
  get failed(): boolean {
    return this.#failed
  }

  /** Bytes passed over. */
  get position(): number {
    return this.#position
  }

  /** The bytes that come next, as far as the window has them; valid until the next `fill`. */
  get available(): Buffer {
    return this.#window.subarray(this.#start, this.#end)
  }

  /**
   * Waits until so many bytes are in the window, or all that there are. A source that fails counts as ended: what came
   * before is of use. `cutOff` tells the difference.
   *
   * @param length at most `WINDOW_SIZE`
   * @returns whether they are all there
   * @throws AbortedError
   */
  async fill(length: number): Promise<boolean> {
    while (this.#end - this.#start < length) {
      if (this.#rest.length === 0 && !(await this.#next())) return false
      if (this.#window.length - this.#start < length || this.#end === this.#window.length) {
        this.#window.copyWithin(0, this.#start, this.#end)
        this.#end -= this.#start
        this.#start = 0
      }
      const part = this.#rest.subarray(0, this.#window.length - this.#end)
      this.#window.set(part, this.#end)
      this.#end += part.length
      this.#rest = this.#rest.subarray(part.length)
      this.#reclaim(part.length)
    }
    return true
  }

  /** Passes over the next bytes of the window, and gives them: valid until the next `fill`. */
  take(length: number): Buffer {
    const bytes = this.#window.subarray(this.#start, this.#start + length)
    if (bytes.length < length) throw new RangeError('more bytes than the window has')
    this.#hash.update(bytes)
    this.#start += length
    this.#position += length
    return bytes
  }

  /** The SHA-1 of all bytes passed over; nothing can be taken after this, and the window's memory is given back. */
  digest(): Buffer {
    release(this.#window)
    return this.#hash.digest()
  }

  /** Why the pack ends where more is needed: the source's own failure, or it is just over. */
  cutOff(): unknown {
    if (this.#failed) return this.#failure
    return new PackInvalidError(`it ends after ${this.#received} bytes, in the middle`)
  }

  /** Lets go of the source, without waiting for it. */
  close(): void {
    // A source that hangs may never answer.
    void Promise.resolve(this.#source.return?.()).catch(() => {})
  }

  async #next(): Promise<boolean> {
    throwIfAborted(this.#signal)
    if (this.#ended) return false
    try {
      const { done, value } = await this.#orAborted(this.#source.next())
      if (done !== true) {
        if (value.length > this.#limit - this.#received)
          throw new BudgetExceededError('bytes', this.#received + value.length, this.#limit)
        this.#received += value.length
        this.#rest = value
        return true
      }
    } catch (error) {
      this.#failed = true
      this.#failure = error
    }
    this.#ended = true
    return false
  }

  /** A source need not know of the signal. */
  async #orAborted<T>(promise: Promise<T>): Promise<T> {
    const signal = this.#signal
    if (signal === undefined) return await promise
    const { promise: aborted, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => {
      try {
        throwIfAborted(signal)
      } catch (error) {
        reject(error)
      }
    }
    signal.addEventListener('abort', onAbort, { once: true })
    // The source itself may have brought it about.
    if (signal.aborted) onAbort()
    try {
      return await Promise.race([promise, aborted])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
}
