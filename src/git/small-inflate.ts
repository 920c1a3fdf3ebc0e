/**
 * Inflating small zlib streams one after the other.
 *
 * `inflateSync` makes a decoder for each call and tells the garbage collector of the 10 KB and more that it takes, so that
 * a pack of small objects costs more in collections than in inflating. The decoder beneath Node's stream class can be
 * used again: `_handle` and `_writeState` are not documented, but have been as they are since Node 9, and libraries for
 * PNG and tar rest on them. Where they are not as expected `inflateSync` is used.
 */
import { constants, createInflate, type Inflate, inflateSync } from 'node:zlib'

/** What came of inflating. */
export interface Inflated {
  /** Bytes of the target that are filled. When it is all of them, the content may be longer. */
  readonly produced: number
  /** Length of the stream. */
  readonly used: number
}

/** Inflates streams that lie in memory into memory that lies ready, at once. */
export interface SmallInflater {
  /**
   * Inflates the zlib stream at the beginning of `raw`. What follows the stream is not looked at.
   *
   * @param target memory for the content, one byte longer than it: that it is not filled tells that the stream is whole
   * @throws errors with zlib's codes, `Z_BUF_ERROR` when `raw` ends before the stream
   */
  inflate(raw: Uint8Array, target: Uint8Array): Inflated
}

/** A decoder that is used again where Node has one to offer. */
export function createSmallInflater(): SmallInflater {
  const stream = createInflate() as Inflate & Partial<Internals>
  const { _handle: handle, _writeState: state } = stream
  if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function')
    return new FreshInflater()
  if (!(state instanceof Uint32Array) || state.length !== 2) return new FreshInflater()
  return new ReusedInflater(stream, handle, state)
}

/** The parts of Node's zlib streams that are used here. */
interface Internals {
  readonly _handle: Handle
  /** After each write: bytes left in the target, and in what was to be inflated. */
  readonly _writeState: Uint32Array
}

interface Handle {
  onerror: (message: string, errno: number, code: string) => void
  reset(): void
  writeSync(
    flush: number,
    from: Uint8Array,
    fromStart: number,
    fromLength: number,
    to: Uint8Array,
    toStart: number,
    toLength: number,
  ): void
}

class ReusedInflater implements SmallInflater {
  /** Frees the handle when it is collected. */
  readonly stream: Inflate
  readonly #handle: Handle
  readonly #state: Uint32Array
  #error: Error | undefined

  constructor(stream: Inflate, handle: Handle, state: Uint32Array) {
    this.stream = stream
    this.#handle = handle
    this.#state = state
    handle.onerror = (message, errno, code) => {
      this.#error = Object.assign(new Error(message), { errno, code })
    }
  }

  inflate(raw: Uint8Array, target: Uint8Array): Inflated {
    this.#error = undefined
    this.#handle.reset()
    this.#handle.writeSync(constants.Z_FINISH, raw, 0, raw.length, target, 0, target.length)
    if (this.#error !== undefined) throw this.#error
    const [roomLeft = 0, rawLeft = 0] = this.#state
    return { produced: target.length - roomLeft, used: raw.length - rawLeft }
  }
}

/** As documented, and slower. */
export class FreshInflater implements SmallInflater {
  inflate(raw: Uint8Array, target: Uint8Array): Inflated {
    try {
      const { buffer, engine } = inform(
        inflateSync(raw, {
          info: true,
          maxOutputLength: target.length,
          chunkSize: Math.max(target.length, 64),
        }),
      )
      target.set(buffer)
      return { produced: buffer.length, used: engine.bytesWritten }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE')) throw error
      return { produced: target.length, used: raw.length }
    }
  }
}

/** With `info` set, Node returns more than its types say. */
function inform(result: unknown): { buffer: Buffer; engine: { bytesWritten: number } } {
  return result as { buffer: Buffer; engine: { bytesWritten: number } }
}
