/** Inflating small deflate streams one after the other, with one decoder where that is possible (`decoder.ts`). */
import { inflateRawSync, inflateSync } from 'node:zlib'
import { createDecoder, type Decoder, type DecoderStep, type DeflateForm } from './decoder.ts'

/** Inflates streams that lie in memory into memory that lies ready, at once. */
export interface SmallInflater {
  /**
   * Inflates the stream at the beginning of `raw`. What follows the stream is not looked at.
   *
   * @param target memory for the content, one byte longer than it: that it is not filled tells that the stream is whole
   * @returns when the target is full, the content may be longer
   * @throws errors with zlib's codes, `Z_BUF_ERROR` when `raw` ends before the stream
   */
  inflate(raw: Uint8Array, target: Uint8Array): DecoderStep
}

/** A decoder that is used again where Node has one to offer. */
export function createSmallInflater(form: DeflateForm = 'zlib'): SmallInflater {
  const decoder = createDecoder(form)
  return decoder === undefined ? new FreshInflater(form) : new ReusedInflater(decoder)
}

class ReusedInflater implements SmallInflater {
  readonly #decoder: Decoder

  constructor(decoder: Decoder) {
    this.#decoder = decoder
  }

  inflate(raw: Uint8Array, target: Uint8Array): DecoderStep {
    this.#decoder.reset()
    return this.#decoder.step(raw, target, true)
  }
}

/** As documented, and slower. */
export class FreshInflater implements SmallInflater {
  readonly #inflateSync: typeof inflateSync

  constructor(form: DeflateForm = 'zlib') {
    this.#inflateSync = form === 'zlib' ? inflateSync : inflateRawSync
  }

  inflate(raw: Uint8Array, target: Uint8Array): DecoderStep {
    try {
      const { buffer, engine } = inform(
        this.#inflateSync(raw, {
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
