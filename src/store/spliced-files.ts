import type { Pack } from '../git/pack/pack.ts'
import { type SplicePlan, splicePlan } from '../git/splice/splice.ts'
import { MAX_STORED, storedBlocks, storedHeader, storedLength } from '../git/splice/stored.ts'
import { Turns } from '../util/turns.ts'
import { SMALL_CONTENT, smallContent, streamContent } from './blob-content.ts'
import { changedEntry, completeChunks, holdPack, type Reading, writeString } from './reading.ts'

/** Which part of a NAR: that from the framing before the first file on. */
export interface FileRange {
  readonly first: number
  /** The file before whose framing it ends. */
  readonly end: number
  /** Whether the framing after the last file belongs to it. */
  readonly last: boolean
}

/**
 * A NAR as deflate blocks, none of them final: framing as the plan has it, files as their packs have them. Yields chunks as they become complete. A
 * chunk is laid out first; what belongs into it is read when it is full, in few reads. At the end there is nothing that still
 * is to be read.
 */
export async function* splicedFiles(
  reading: Reading,
  { first, end, last }: FileRange,
): AsyncGenerator<Buffer, void> {
  const { plan, out, gather, signal } = reading
  const { deflatedLengths } = plan.parts
  const turns = new Turns(signal)
  for (let file = first; file < end && !out.done; file++) {
    const pause = turns.next()
    if (pause !== undefined) await pause
    writeString(out, plan.parts.framing, file)
    const shape = plan.shape(file)
    if (shape === undefined) {
      await gather.read()
      yield* storedBody(reading, file)
      continue
    }
    const splice = splicePlan(shape, deflatedLengths[file]!)
    if (out.skip(splice.length)) continue
    let at = out.before(splice.bodyLength)
    out.pass(at)
    while (at < splice.bodyLength && !out.done) {
      if (out.ready || !gather.fits(splice.bodyLength - at)) {
        signal?.throwIfAborted()
        await gather.read()
        yield* completeChunks(out)
      }
      const found = holdPack(reading, file)
      const pack = found instanceof Promise ? await found : found
      if (pack === undefined) throw changedEntry(reading, file)
      at += layOut(reading, pack, reading.places.offset(file), splice, at)
    }
    out.write(splice.tail)
    if (out.ready) {
      await gather.read()
      yield* completeChunks(out)
    }
  }
  if (last && !out.done) writeString(out, plan.parts.framing, plan.count)
  await gather.read()
}

/** Makes room for the bytes of a spliced blob from `at` on and asks for them; gives how many have room. */
function layOut(
  { out, gather }: Reading,
  pack: Pack,
  offset: number,
  splice: SplicePlan,
  at: number,
): number {
  const room = out.claim(splice.bodyLength - at)
  gather.add(pack, offset + splice.from + at, room.length, room.buffer, room.at)
  for (const patch of splice.patches) {
    const index = patch.at - at
    if (index >= 0 && index < room.length) gather.patch(room.buffer, room.at + index, patch.mask)
  }
  return room.length
}

/** A blob's content in stored blocks, for what cannot be spliced. */
async function* storedBody(reading: Reading, file: number): AsyncGenerator<Buffer, void> {
  const { out, plan } = reading
  const size = plan.parts.sizes[file]!
  if (out.skip(storedLength(size))) return
  if (size <= SMALL_CONTENT) {
    out.write(storedBlocks(await smallContent(reading, file)))
    yield* completeChunks(out)
    return
  }
  let position = 0
  yield* streamContent(reading, file, (piece) => {
    for (let at = 0; at < piece.length; ) {
      if (position % MAX_STORED === 0) out.write(storedHeader(Math.min(MAX_STORED, size - position)))
      const length = Math.min(piece.length - at, MAX_STORED - (position % MAX_STORED))
      out.write(piece, at, at + length)
      position += length
      at += length
    }
  })
}
