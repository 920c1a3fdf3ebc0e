/**
 * A deflate decoder that is used again for stream after stream, at once and in memory that lies ready.
 *
 * `inflateSync` makes a decoder for each call and tells the garbage collector of the 10 KB and more that it takes, and zlib's stream
 * class gives every piece in memory of its own: both cost more in collections than in inflating. The decoder beneath the stream
 * class can be used again: `_handle` and `_writeState` are not documented, but have been as they are since Node 9, and libraries
 * for PNG and tar rest on them. Where they are not as expected there is no decoder, and who wanted one does it as documented.
 */
import { constants, createInflate, createInflateRaw, type Inflate, type InflateRaw } from 'node:zlib'

/** The form of streams: zlib's, with header and Adler-32 (RFC 1950), or deflate alone (RFC 1951). */
export type DeflateForm = 'zlib' | 'raw'

/** What one step of a decoder came to. */
export interface DecoderStep {
  /** Bytes of the target that are filled. */
  readonly produced: number
  /** Bytes of the input that are used up. */
  readonly used: number
}

/** Decodes streams, one at a time. */
export interface Decoder {
  /** Begins with another stream. */
  reset(): void
  /**
   * Goes on with the stream until its end, or until the input is used up or the target is full.
   *
   * @param last whether the stream must end in `raw`
   * @throws errors with zlib's codes, `Z_BUF_ERROR` when the stream does not end in `raw` though it must
   */
  step(raw: Uint8Array, target: Uint8Array, last: boolean): DecoderStep
}

/** A decoder where Node has one to offer. */
export function createDecoder(form: DeflateForm = 'zlib'): Decoder | undefined {
  const stream: (Inflate | InflateRaw) & Partial<Internals> =
    form === 'zlib' ? createInflate() : createInflateRaw()
  const { _handle: handle, _writeState: state } = stream
  if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function') return undefined
  if (!(state instanceof Uint32Array) || state.length !== 2) return undefined
  return new HandleDecoder(stream, handle, state)
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

class HandleDecoder implements Decoder {
  /** Frees the handle when it is collected. */
  readonly stream: Inflate | InflateRaw
  readonly #handle: Handle
  readonly #state: Uint32Array
  #error: Error | undefined

  constructor(stream: Inflate | InflateRaw, handle: Handle, state: Uint32Array) {
    this.stream = stream
    this.#handle = handle
    this.#state = state
    handle.onerror = (message, errno, code) => {
      this.#error = Object.assign(new Error(message), { errno, code })
    }
  }

  reset(): void {
    this.#handle.reset()
  }

  step(raw: Uint8Array, target: Uint8Array, last: boolean): DecoderStep {
    this.#error = undefined
    const flush = last ? constants.Z_FINISH : constants.Z_SYNC_FLUSH
    this.#handle.writeSync(flush, raw, 0, raw.length, target, 0, target.length)
    if (this.#error !== undefined) throw this.#error
    const [roomLeft = 0, rawLeft = 0] = this.#state
    return { produced: target.length - roomLeft, used: raw.length - rawLeft }
  }
}
