import { dataFramePrefix } from '../../../protocol/index.ts'
import { ChunkPool } from '../../util/chunk-pool.ts'
import { giveUp } from '../../util/release.ts'
import { FRAME_SIZE, FREE_WRITES, WRITE_SIZE } from './limits.ts'

const memory = new ChunkPool(WRITE_SIZE, FREE_WRITES)
const recycle = (bytes: Uint8Array): void => memory.give(bytes)

/** Frames of data that go out with one write, in memory that is used again once they were encrypted. */
export class FrameBatch {
  #bytes: Buffer | undefined
  #used = 0

  /** Whether another frame may not fit. */
  get full(): boolean {
    return this.#used > WRITE_SIZE - FRAME_SIZE
  }

  /** Adds a frame with a copy of this data. */
  add(data: Uint8Array): void {
    const prefix = dataFramePrefix(data.length)
    this.#bytes ??= memory.take()
    this.#bytes.set(prefix, this.#used)
    this.#bytes.set(data, this.#used + prefix.length)
    this.#used += prefix.length + data.length
  }

  /** What has been added, for the connection alone; the next frame begins another write. */
  take(): Buffer | undefined {
    const bytes = this.#bytes?.subarray(0, this.#used)
    this.#bytes = undefined
    this.#used = 0
    return bytes === undefined ? undefined : giveUp(bytes, recycle)
  }
}
