import { constants, deflateRawSync } from 'node:zlib'
import { FixedBlock, MAX_DISTANCE } from '../git/splice/fixed-block.ts'
import { storedBlocks } from '../git/splice/stored.ts'

/** Framing from this size on (many links or directories between two files) is deflated by zlib. */
const LONG_FRAMING = 1024
/** So many strings may build on one another; then comes one that stands alone, where reading can begin. */
const LONGEST_CHAIN = 64
/** The size before a file's content, which differs from file to file. */
const SIZE_BYTES = 8
const MIN_MATCH = 3

/** The framing before one file as deflate blocks, none of them final, beginning and ending at byte boundaries. */
export interface DeflatedFraming {
  readonly bytes: Buffer
  /** Whether it can be inflated without what comes before. */
  readonly alone: boolean
}

/**
 * Deflates the framing between the files of a NAR. From one file to the next it is nearly the same: padding, constants, a
 * name, constants, a size. So it is written as that of the file before, which is still in deflate's window when that file is
 * not large, with another name and size. It takes a sixth of the space that it would take as it is.
 */
export class FramingDeflater {
  #previous: Buffer | undefined
  /** Length of the file between. */
  #between = 0
  #chain = 0

  /**
   * @param framing the bytes before a file's content, or those at the end
   * @param size of the file that follows
   */
  next(framing: Buffer, size: number): DeflatedFraming {
    const bytes = this.#deflate(framing)
    const alone = bytes === undefined
    this.#chain = alone ? 0 : this.#chain + 1
    this.#previous = framing
    this.#between = size
    return { bytes: bytes ?? standingAlone(framing), alone }
  }

  /** As the string before with what differs; `undefined` where that is not possible or of no use. */
  #deflate(framing: Buffer): Buffer | undefined {
    const previous = this.#previous
    if (previous === undefined || this.#chain === LONGEST_CHAIN || framing.length >= LONG_FRAMING)
      return undefined
    const back = previous.length + this.#between
    // Padding depends on the size of the file before, so it is left out of the comparison.
    const [from, fromPrevious] = [leadingZeros(framing), leadingZeros(previous)]
    const [to, toPrevious] = [framing.length - SIZE_BYTES, previous.length - SIZE_BYTES]
    const room = Math.min(to - from, toPrevious - fromPrevious)
    const headDistance = back + from - fromPrevious
    const tailDistance = back + to - toPrevious
    if (room < MIN_MATCH || Math.max(headDistance, tailDistance) > MAX_DISTANCE) return undefined
    let head = 0
    while (head < room && framing[from + head] === previous[fromPrevious + head]) head++
    let tail = 0
    while (tail < room - head && framing[to - tail - 1] === previous[toPrevious - tail - 1]) tail++
    if (head < MIN_MATCH) head = 0
    if (tail < MIN_MATCH) tail = 0

    const block = new FixedBlock(framing.length)
    block.literals(framing, 0, from)
    block.match(head, headDistance)
    block.literals(framing, from + head, to - tail)
    block.match(tail, tailDistance)
    block.literals(framing, to)
    return block.finish()
  }
}

/** What ends with a full flush refers to nothing before. */
function standingAlone(framing: Buffer): Buffer {
  if (framing.length < LONG_FRAMING) return storedBlocks(framing)
  return deflateRawSync(framing, { finishFlush: constants.Z_SYNC_FLUSH })
}

function leadingZeros(bytes: Buffer): number {
  let count = 0
  while (count < bytes.length && bytes[count] === 0) count++
  return count
}
