import { ChunkDeflater } from './chunk-deflater.ts'
import { PORTION_BYTES } from './portion.ts'

/** Deflates portions in the thread that has it. */
export class PortionEncoder {
  readonly #deflater: ChunkDeflater
  /** The contents, once the chunks take their place. */
  readonly #contents = new Uint8Array(PORTION_BYTES)

  /** @param level 1 to 9 */
  constructor(module: WebAssembly.Module, level: number) {
    this.#deflater = new ChunkDeflater(module, level)
  }

  /**
   * Puts the chunks in the place of the contents.
   *
   * @param memory of a portion
   * @param lengths of its contents
   * @returns deflated length, Adler-32 and CRC-32 of the content, of each chunk
   */
  encode(memory: SharedArrayBuffer, lengths: readonly number[]): number[] {
    const shared = new Uint8Array(memory)
    const size = lengths.reduce((sum, length) => sum + length, 0)
    const contents = this.#contents
    contents.set(shared.subarray(0, size))
    const results: number[] = []
    let from = 0
    let to = 0
    for (const length of lengths) {
      const { deflated, adler32, crc32 } = this.#deflater.encode(contents.subarray(from, from + length))
      shared.set(deflated, to)
      results.push(deflated.length, adler32, crc32)
      from += length
      to += deflated.length
    }
    return results
  }
}
