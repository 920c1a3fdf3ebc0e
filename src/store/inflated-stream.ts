import type { TransformOptions } from 'node:stream'
import { createInflateRaw, type Gunzip, type InflateRaw, type ZlibOptions } from 'node:zlib'
import { FINAL_BLOCK } from '../git/deflate/chunk.ts'
import { AbortedError } from '../util/errors.ts'
import { type Reading, remainingChunks } from './reading.ts'
import { type FileRange, splicedFiles } from './spliced-files.ts'

/**
 * Length of a piece. Below the 128 KiB from which on malloc has each block mapped and unmapped by the system where a node is started as we
 * start it (`MALLOC_MMAP_THRESHOLD_`): that cost a seventh of the time of 16 clients.
 */
const PIECE = 120 * 1024
/** Bytes that are inflated before they are asked for, while those before are on their way. */
const INFLATED_AHEAD = 256 * 1024

type Inflater = InflateRaw | Gunzip

/**
 * A part of a NAR, inflated piece by piece: the stream that gzip NARs consist of is put together and inflated as one, which takes no stream
 * and no buffers for each of thousands of small files. Other threads inflate, while the next chunk is put together. Whoever has
 * looked at a piece frees it (`releaseEnd`): left to the collector these buffers would cost full collections, as V8 counts their memory
 * apart from its heap.
 *
 * @param reading whose writer takes the deflated stream, without a bound
 * @param recycle told of the chunks of the deflated stream once they have been inflated
 * @throws errors with zlib's codes for what is no deflate stream; whatever reading throws
 */
export async function* inflatedStream(
  reading: Reading,
  part: FileRange,
  recycle: (chunk: Buffer) => void,
): AsyncGenerator<Buffer, void> {
  const options: ZlibOptions & TransformOptions = {
    chunkSize: PIECE,
    readableHighWaterMark: INFLATED_AHEAD,
  }
  yield* inflatedBy(createInflateRaw(options), deflatedPart(reading, part), recycle)
}

/**
 * What an inflater makes of a stream. Whoever has looked at a piece frees it.
 *
 * @param recycle told of the chunks of the stream once they have been inflated
 * @throws errors with zlib's codes for what it cannot inflate; whatever the stream throws
 */
export async function* inflatedBy<C extends Uint8Array>(
  inflater: Inflater,
  chunks: AsyncIterable<C>,
  recycle: (chunk: C) => void,
): AsyncGenerator<Buffer, void> {
  const feeding = feed(chunks, inflater, recycle)
  // It is awaited below; a failure reaches the reader through the inflater.
  feeding.catch(() => {})
  try {
    yield* inflater as AsyncIterable<Buffer>
  } finally {
    inflater.destroy()
    await feeding.catch(() => {})
  }
}

/** Whether zlib has thrown it. */
export function isDeflateError(error: unknown): error is Error {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return code?.startsWith('Z_') === true
}

/** A part of a NAR as one deflate stream. */
async function* deflatedPart(reading: Reading, part: FileRange): AsyncGenerator<Buffer, void> {
  const { out, gather } = reading
  try {
    yield* splicedFiles(reading, part)
    out.write(FINAL_BLOCK)
    yield* remainingChunks(out)
  } finally {
    gather.release()
  }
}

/** Has a stream inflated, a chunk after the other. When it fails, so does the inflater. */
async function feed<C extends Uint8Array>(
  chunks: AsyncIterable<C>,
  inflater: Inflater,
  recycle: (chunk: C) => void,
): Promise<void> {
  try {
    for await (const chunk of chunks) {
      await inflate(inflater, chunk)
      recycle(chunk)
    }
    inflater.end()
  } catch (error) {
    inflater.destroy(error as Error)
    throw error
  }
}

/** Hands a chunk to the inflater and waits until it has been inflated; rejects when the inflater is destroyed meanwhile. */
function inflate(inflater: Inflater, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    // A destroyed stream forgets the callback of a write that waits for its reader.
    const closed = () => reject(new AbortedError('nobody reads the NAR any more'))
    inflater.once('close', closed)
    inflater.write(chunk, (error) => {
      inflater.off('close', closed)
      if (error) reject(error)
      else resolve()
    })
  })
}
