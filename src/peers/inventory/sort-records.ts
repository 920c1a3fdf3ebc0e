import { Turns } from '../../util/turns.ts'

/** Records are sorted in parts of those with the same first two bytes: 16 of a million hash parts. */
const BUCKETS = 65_536
/** Records that are compared at once where two lists may be equal for long. */
const BLOCK_RECORDS = 16

/**
 * Sorts records of one width by their bytes, in turns. Of those with the same key (the first `keyWidth` bytes) only the first stays. Takes the memory
 * of the records once more, and makes no object for each of them: garbage of a million is 100 MB before the collector gets to it.
 *
 * @param parts the records, whole ones in each part
 * @returns the records in order; a new buffer
 */
export async function sortRecords(
  parts: readonly Buffer[],
  width: number,
  keyWidth: number,
): Promise<Buffer> {
  const turns = new Turns()
  const ends = new Uint32Array(BUCKETS)
  for (const part of parts) {
    await turns.next()
    for (let at = 0; at < part.length; at += width) ends[part.readUInt16BE(at)]!++
  }
  for (let bucket = 1; bucket < BUCKETS; bucket++) ends[bucket]! += ends[bucket - 1]!
  const sorted = Buffer.allocUnsafeSlow(ends[BUCKETS - 1]! * width)
  const next = ends.slice()
  for (const part of parts) {
    for (let at = 0; at < part.length; at += width) {
      const turn = turns.next()
      if (turn !== undefined) await turn
      part.copy(sorted, --next[part.readUInt16BE(at)]! * width, at, at + width)
    }
  }
  let length = 0
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    if (next[bucket] === ends[bucket]) continue
    const turn = turns.next()
    if (turn !== undefined) await turn
    const first = next[bucket]! * width
    sortInPlace(sorted, first, ends[bucket]! - next[bucket]!, width)
    // What stays of a bucket is not longer than what came before, so that nothing is overwritten that is still to be read.
    for (let at = first; at < ends[bucket]! * width; at += width) {
      if (at > first && compare(sorted, at, length - width, keyWidth) === 0) continue
      sorted.copyWithin(length, at, at + width)
      length += width
    }
  }
  return sorted.subarray(0, length)
}

/** Sorts `count` records that begin at `start` by their bytes (a heap): in time that no order of theirs makes worse. */
function sortInPlace(bytes: Buffer, start: number, count: number, width: number): void {
  /** Lets the record at `root` sink to where no record below it is larger. */
  const sink = (root: number, end: number): void => {
    for (let child = 2 * root + 1; child < end; child = 2 * root + 1) {
      if (child + 1 < end && compare(bytes, start + child * width, start + (child + 1) * width, width) < 0)
        child++
      if (compare(bytes, start + root * width, start + child * width, width) >= 0) return
      swap(bytes, start + root * width, start + child * width, width)
      root = child
    }
  }
  for (let root = (count >>> 1) - 1; root >= 0; root--) sink(root, count)
  for (let end = count - 1; end > 0; end--) {
    swap(bytes, start, start + end * width, width)
    sink(0, end)
  }
}

/** Compares `length` bytes at two places. */
function compare(bytes: Buffer, a: number, b: number, length: number): number {
  for (let i = 0; i < length; i++) {
    const difference = bytes[a + i]! - bytes[b + i]!
    if (difference !== 0) return difference
  }
  return 0
}

function swap(bytes: Buffer, a: number, b: number, width: number): void {
  for (let i = 0; i < width; i++) {
    const byte = bytes[a + i]!
    bytes[a + i] = bytes[b + i]!
    bytes[b + i] = byte
  }
}

/** A record that only one of two sorted lists has. */
export interface Difference {
  readonly record: Buffer
  /** Whether the second list has it. */
  readonly added: boolean
}

/** What tells two lists of records of one width apart, both in byte order. */
export function* differences(before: Buffer, after: Buffer, width: number): Generator<Difference> {
  let old = 0
  let now = 0
  const block = BLOCK_RECORDS * width
  while (old < before.length || now < after.length) {
    const rest = Math.min(block, before.length - old, after.length - now)
    if (rest > 0 && before.compare(after, now, now + rest, old, old + rest) === 0) {
      old += rest
      now += rest
      continue
    }
    const order =
      old === before.length
        ? 1
        : now === after.length
          ? -1
          : before.compare(after, now, now + width, old, old + width)
    if (order < 0) yield { record: before.subarray(old, old + width), added: false }
    if (order > 0) yield { record: after.subarray(now, now + width), added: true }
    if (order <= 0) old += width
    if (order >= 0) now += width
  }
}
