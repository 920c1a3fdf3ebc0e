import { gzipEnd, gzipHeader } from '../git/splice/gzip.ts'
import { type Reading, remainingChunks } from './reading.ts'
import { splicedFiles } from './spliced-files.ts'

/**
 * A NAR as one gzip member, put together from the packs' deflate streams: the framing as deflate blocks of its own, each blob's
 * blocks as its pack has them.
 *
 * @param crc32 of the NAR
 */
export async function* gzipBody(reading: Reading, crc32: number): AsyncGenerator<Buffer, void> {
  const { plan, out, gather } = reading
  try {
    out.write(gzipHeader())
    yield* splicedFiles(reading, { first: 0, end: plan.count, last: true })
    if (!out.done) out.write(gzipEnd(crc32, plan.narSize))
    yield* remainingChunks(out)
  } finally {
    gather.release()
  }
}
