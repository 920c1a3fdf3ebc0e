import { setImmediate as nextTurn } from 'node:timers/promises'
import { SMALL_CONTENT, smallContent, streamContent } from './blob-content.ts'
import { completeChunks, type Reading, remainingChunks, writeString } from './reading.ts'

const FILES_A_TURN = 8192

/** A NAR as it is: framing and inflated blobs. */
export async function* plainBody(reading: Reading): AsyncGenerator<Buffer, void> {
  const { plan, out, gather, signal } = reading
  const { framing, sizes } = plan.parts
  try {
    for (let file = 0; file < plan.count && !out.done; file++) {
      if (file % FILES_A_TURN === FILES_A_TURN - 1) {
        await nextTurn()
        signal?.throwIfAborted()
      }
      writeString(out, framing, file)
      const size = sizes[file]!
      if (out.skip(size)) continue
      if (size <= SMALL_CONTENT) out.write(await smallContent(reading, file))
      else yield* streamContent(reading, file, (piece) => out.write(piece))
      yield* completeChunks(out)
    }
    if (!out.done) writeString(out, framing, plan.count)
    yield* remainingChunks(out)
  } finally {
    gather.release()
  }
}
