import { storedLength } from '../git/splice/stored.ts'
import type { NarPlan } from './plan.ts'

/** Neighbouring files are inflated together up to this size of NAR: a message between threads costs as much as some 10 KB. */
const USUAL_PART = 512 * 1024
/** A part that is larger, because of one large file, is inflated piece by piece. So this bounds the memory for one part. */
export const LARGEST_PART = 1024 * 1024

/** Bytes that are left for the end of a part's deflate stream, and to tell one that is too long. */
const ENDING = 16

/** A stretch of a NAR that can be inflated without what comes before. */
export interface NarPart {
  /** It begins with this file's framing. */
  readonly first: number
  /** The file before whose framing it ends. */
  readonly end: number
  /** Whether the framing after the last file belongs to it. */
  readonly last: boolean
  /** Where in the NAR it begins. */
  readonly offset: number
  /** Bytes of NAR. */
  readonly size: number
  /** Length of its deflate stream at most, unless that is known to be too large. */
  readonly deflated: number
  /** Whether it is small enough to be inflated at once. */
  readonly atOnce: boolean
}

/** A NAR, from the last place before `from` where inflating can begin to beyond `to`, as one part that is inflated piece by piece. */
export function wholePart(plan: NarPlan, from: number): NarPart {
  const { file, offset } = plan.startBefore(from)
  const size = plan.narSize - offset
  return { first: file, end: plan.count, last: true, offset, size, deflated: plan.gzipSize, atOnce: false }
}

/** The same in parts, as many as it takes to get to `to`. */
export function* narParts(plan: NarPlan, from: number, to: number): Generator<NarPart, void> {
  const { starts } = plan.parts
  let index = starts.indexOf(plan.startBefore(from).file)
  while (index < starts.length) {
    let part = span(plan, index++)
    if (part.offset >= to) return
    for (; part.atOnce && index < starts.length; index++) {
      const next = span(plan, index)
      const both = joined(part, next)
      if (!next.atOnce || both.size > USUAL_PART || both.deflated >= LARGEST_PART - ENDING) break
      part = both
    }
    yield part
  }
}

/** A part and the one that follows it. */
export function joined(part: NarPart, next: NarPart): NarPart {
  const { first, offset } = part
  return { ...next, first, offset, size: part.size + next.size, deflated: part.deflated + next.deflated }
}

/** From one place where inflating can begin to the next. */
function span(plan: NarPlan, index: number): NarPart {
  const { starts, startOffsets, sizes, deflatedLengths } = plan.parts
  const last = index + 1 === starts.length
  const first = starts[index]!
  const end = starts[index + 1] ?? plan.count
  const offset = startOffsets[index]!
  const size = (startOffsets[index + 1] ?? plan.narSize) - offset
  let deflated = framingLength(plan, first, last ? plan.count : end - 1)
  for (let file = first; file < end && size < LARGEST_PART; file++)
    deflated += deflatedLengths[file]! || storedLength(sizes[file]!)
  return {
    first,
    end,
    last,
    offset,
    size,
    deflated,
    atOnce: Math.max(size, deflated) < LARGEST_PART - ENDING,
  }
}

/** Bytes of the framing before files `first` to `last`. */
function framingLength({ parts: { framing } }: NarPlan, first: number, last: number): number {
  return last < first ? 0 : framing.ends[last]! - (first === 0 ? 0 : framing.ends[first - 1]!)
}
