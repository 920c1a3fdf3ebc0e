import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { CHUNK_SIZE, type EncodedChunk } from './chunk.ts'

/** What `native/chunk.c` exports. Addresses are offsets in `memory`. */
interface ChunkExports {
  readonly memory: WebAssembly.Memory
  input(): number
  output(): number
  capacity(): number
  start(level: number): number
  deflate(length: number): number
  adler32(length: number): number
}

/** The compiled encoder. Threads can have it from each other, it is compiled once then. */
export function loadChunkModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL('./chunk.wasm', import.meta.url)))
}

/** Deflates content into chunks of the canonical encoding. One instance takes 1.3 MB and belongs to one thread. */
export class ChunkDeflater {
  readonly #exports: ChunkExports
  readonly #memory: Uint8Array
  readonly #input: number
  readonly #output: number

  /** @param level 1 to 9 */
  constructor(module: WebAssembly.Module, level: number) {
    this.#exports = new WebAssembly.Instance(module).exports as unknown as ChunkExports
    if (this.#exports.start(level) === 0 || this.#exports.capacity() !== CHUNK_SIZE)
      throw new Error('the deflate module is not the one that belongs to this program')
    this.#memory = new Uint8Array(this.#exports.memory.buffer)
    this.#input = this.#exports.input()
    this.#output = this.#exports.output()
  }

  /**
   * Deflates at most `CHUNK_SIZE` bytes, but at least one.
   *
   * @returns the chunk; `deflated` is overwritten by the next call
   */
  encode(content: Uint8Array): EncodedChunk {
    const { length } = content
    if (length === 0 || length > CHUNK_SIZE) throw new RangeError(`a chunk cannot have ${length} bytes`)
    this.#memory.set(content, this.#input)
    const deflated = this.#exports.deflate(length)
    if (deflated === 0) throw new Error('a chunk was larger than it can be')
    return {
      deflated: this.#memory.subarray(this.#output, this.#output + deflated),
      adler32: this.#exports.adler32(length) >>> 0,
      crc32: crc32(content),
    }
  }
}
