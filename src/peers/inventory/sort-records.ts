import { Turns } from '../../git/walk/turns.ts'

/** Records are sorted in parts of those with the same first two bytes: 16 of a million hash parts. */
const BUCKETS = 65_536
/** Records that are compared at once where two lists may be equal for long. */
const BLOCK_RECORDS = 16

/**
 * Sorts records of one width by their bytes, in turns. Of those with the same key (the first `keyWidth` bytes) only the first stays. Takes the memory
 * of the records once more, and none for each of them.
 *
 * @param parts the records, whole ones in each part
 * @returns the records in order; a new buffer
 */
export async function sortRecords(
  parts: readonly Buffer[],
  width: number,
  keyWidth: number,
): Promise<Buffer> {
  const turns = new Turns(undefined)
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
    // What stays of a bucket is not longer than what came before, so that nothing is overwritten that is still to be read.
    const part = Buffer.from(sorted.subarray(next[bucket]! * width, ends[bucket]! * width))
    const rows: Buffer[] = []
    for (let at = 0; at < part.length; at += width) rows.push(part.subarray(at, at + width))
    rows.sort(Buffer.compare)
    for (const [index, row] of rows.entries()) {
      if (index > 0 && row.compare(rows[index - 1]!, 0, keyWidth, 0, keyWidth) === 0) continue
      length += row.copy(sorted, length)
    }
  }
  return sorted.subarray(0, length)
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
