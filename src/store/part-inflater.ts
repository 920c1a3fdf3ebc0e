import { FINAL_BLOCK } from '../git/deflate/chunk.ts'
import { inflatePart } from '../git/inflating/inflate-part.ts'
import { InflatePool } from '../git/inflating/pool.ts'
import { type SharedBuffer, SharedChunks } from '../util/shared-chunks.ts'
import { BodyWriter } from './body-writer.ts'
import { LARGEST_PART, type NarPart } from './nar-parts.ts'
import { type Reading, remainingChunks } from './reading.ts'
import { splicedFiles } from './spliced-files.ts'

/** A part up to this size is inflated where it is read: that takes no longer than handing it to another thread. */
const INLINE_PART = 32 * 1024
/** Memory for parts, deflated and inflated, in chunks for each thread: one part under way and another that waits. */
const CHUNKS_A_THREAD = 4
/** While each thread has this much to inflate, nothing is inflated before it is needed. */
const BUSY_LOAD = 1024 * 1024

/** A part of a NAR. */
export interface InflatedPart {
  readonly content: Buffer
  readonly crc32: number
  /** To be called when nobody looks at the content any more. */
  readonly release: () => void
}

/** Inflates parts of NARs on worker threads, for all bodies together. */
export class PartInflater {
  readonly #pool: InflatePool
  readonly #chunks: SharedChunks

  /** @param workers most threads; one a core unless given */
  constructor(workers?: number) {
    this.#pool = new InflatePool(workers)
    this.#chunks = new SharedChunks(LARGEST_PART, CHUNKS_A_THREAD * this.#pool.workers)
  }

  /** Whether there are threads with little to do. */
  get idle(): boolean {
    return this.#pool.load < this.#pool.workers * BUSY_LOAD
  }

  /** Whether there is memory for another part. */
  get ready(): boolean {
    return this.#chunks.available >= 2
  }

  /**
   * Reads and inflates a part that is small enough for that. To be called when `ready`.
   *
   * @param reading makes the state of a reading that writes to a writer
   * @returns the content, or what is wrong with it
   * @throws InflateWorkerError when the thread fails; whatever reading throws
   */
  async inflate(reading: (out: BodyWriter) => Reading, part: NarPart): Promise<InflatedPart | string> {
    const { size } = part
    const deflated = this.#chunks.take()
    const target = this.#chunks.take()
    const release = () => this.#chunks.give(target)
    try {
      const length = await this.#read(reading, part, deflated)
      const result = await this.#inflate(deflated.subarray(0, length), target, size)
      if (typeof result === 'number') return { content: target.subarray(0, size), crc32: result, release }
      release()
      return result
    } catch (error) {
      release()
      throw error
    } finally {
      this.#chunks.give(deflated)
    }
  }

  /** Ends the threads; what is under way fails. */
  async close(): Promise<void> {
    await this.#pool.close()
  }

  async #inflate(deflated: SharedBuffer, target: SharedBuffer, size: number): Promise<number | string> {
    if (size <= INLINE_PART) return inflatePart(deflated, target, size)
    return await this.#pool.inflate(deflated, target, size)
  }

  /** Reads the part as a deflate stream; gives its length. */
  async #read(reading: (out: BodyWriter) => Reading, part: NarPart, memory: SharedBuffer): Promise<number> {
    const state = reading(new BodyWriter({ size: memory.length, take: () => memory }, 0, Infinity))
    const { out, gather } = state
    let length = 0
    try {
      for await (const chunk of splicedFiles(state, part)) length += chunk.length
      out.write(FINAL_BLOCK)
      for (const chunk of remainingChunks(out)) length += chunk.length
    } finally {
      gather.release()
    }
    if (length >= memory.length) throw new RangeError(`a part of ${part.size} bytes deflates to ${length}`)
    return length
  }
}
