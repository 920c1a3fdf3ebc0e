import { pipeline, Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'

/**
 * Decodes zstd with any number of frames, skippable ones too. Node's decoder ends with the first frame and drops what
 * follows, so there is one for each; how many bytes it took tells where the next frame begins.
 *
 * @throws Error of the decoder, or of `input`
 */
export async function* decodeZstd(
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = new Pieces(input)
  try {
    while (await pieces.hasMore()) {
      const decoder = createZstdDecompress()
      pieces.begin()
      pipeline(Readable.from(pieces.rest(), { objectMode: false }), decoder, () => {})
      for await (const output of decoder as AsyncIterable<Uint8Array>) {
        pieces.taken(decoder.bytesWritten)
        yield output
      }
      pieces.taken(decoder.bytesWritten)
    }
  } finally {
    await pieces.close()
  }
}

/** A sequence of pieces of which some are given out again. */
class Pieces {
  readonly #source: AsyncIterator<Uint8Array>
  /** Given out to the present decoder, or to be given out, and not known to be taken. */
  #kept: Uint8Array[] = []
  /** Bytes that the present decoder took of what came before `#kept`. */
  #base = 0
  /** Index in `#kept` of what the present decoder gets next. */
  #next = 0
  #decoders = 0
  #failure: { readonly error: unknown } | undefined

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#source = input[Symbol.asyncIterator]()
  }

  async hasMore(): Promise<boolean> {
    while (this.#kept.length === 0) if (!(await this.#pull())) return false
    return true
  }

  /** From here on everything that is kept is given out again. */
  begin(): void {
    this.#base = 0
    this.#next = 0
    this.#decoders++
  }

  /** What is kept and what follows, for the present decoder; one that has ended may still be waiting for a piece. */
  async *rest(): AsyncGenerator<Uint8Array, void, undefined> {
    const decoder = this.#decoders
    while (decoder === this.#decoders) {
      const kept = this.#kept[this.#next]
      if (kept === undefined) {
        if (!(await this.#pull())) return
      } else {
        this.#next++
        yield kept
      }
    }
  }

  /** The present decoder has taken this many bytes in all. */
  taken(bytes: number): void {
    for (let first = this.#kept[0]; first !== undefined && this.#base < bytes; first = this.#kept[0]) {
      const count = Math.min(first.length, bytes - this.#base)
      this.#base += count
      if (count < first.length) {
        this.#kept[0] = first.subarray(count)
        return
      }
      this.#kept.shift()
      this.#next--
    }
  }

  /** Keeps the next piece; tells whether there was one. A failure is for everybody who asks, also later. */
  async #pull(): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure.error
    try {
      const { done, value } = await this.#source.next()
      if (done === true) return false
      if (value.length > 0) this.#kept.push(value)
      return true
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }
}
