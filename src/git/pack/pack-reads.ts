import { setImmediate as nextTurn } from 'node:timers/promises'
import { CorruptPackError } from '../object-errors.ts'
import type { Pack } from './pack.ts'

/** Milliseconds that a read at once may take; what lies in the page cache takes a tenth of one. */
const SLOW_READ_MS = 1
/** Reads that go to other threads after a slow one; twice as many each time that the next one is slow too, */
const READS_AFTER_SLOW = 16
/** ... up to this. */
const MOST_AFTER_SLOW = 256
/** Bytes that are read at once before others have their turn. */
const BYTES_A_TURN = 1024 * 1024

/** A stretch of a pack and where it goes. The pack is open. */
export interface PackRead {
  readonly pack: Pack
  readonly position: number
  readonly target: Buffer
}

/**
 * Reads packs for others. A pack that is served is mostly in the page cache, and handing a read to another thread costs more
 * than copying its bytes from there. So stretches are read at once as long as that is quick. When it was not, the
 * disk is asked: then the next reads go to other threads, and the event loop does not wait for it again. A read may also seem slow
 * because another process had the processor, so it is soon tried again, and ever less often while the disk is asked.
 */
export class PackReads {
  #elsewhere = 0
  #afterSlow = READS_AFTER_SLOW
  #bytes = 0

  /**
   * Fills all targets. None is written to any more when this has ended, in whatever way.
   *
   * @throws CorruptPackError when a pack ends too early; the file system's errors
   */
  async read(reads: readonly PackRead[]): Promise<void> {
    if (this.#elsewhere > 0) {
      this.#elsewhere--
      const ends = await Promise.allSettled(reads.map(readElsewhere))
      const failed = ends.find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
      return
    }
    const began = performance.now()
    for (const read of reads) this.#bytes += readAtOnce(read)
    if (performance.now() - began > SLOW_READ_MS) {
      this.#elsewhere = this.#afterSlow
      this.#afterSlow = Math.min(2 * this.#afterSlow, MOST_AFTER_SLOW)
    } else this.#afterSlow = READS_AFTER_SLOW
    if (this.#bytes < BYTES_A_TURN) return
    this.#bytes = 0
    await nextTurn()
  }
}

async function readElsewhere(read: PackRead): Promise<void> {
  check(read, await read.pack.readAt(read.target, read.position))
}

function readAtOnce(read: PackRead): number {
  check(read, read.pack.readSync(read.target, read.position))
  return read.target.length
}

function check({ pack, target }: PackRead, length: number): void {
  if (length < target.length) throw new CorruptPackError(`${pack.path} is cut off`)
}
