import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib'
import { FINAL_BLOCK } from '../git/deflate/chunk.ts'
import { CorruptObjectError } from '../git/object-errors.ts'
import { AbortedError } from '../util/errors.ts'
import { BODY_CHUNK, type BodyWriter } from './body-writer.ts'
import type { NarPlan } from './plan.ts'
import { completeChunks, type Reading, remainingChunks } from './reading.ts'
import { splicedFiles } from './spliced-files.ts'

/**
 * A NAR as it is, or a range of it. The stream that gzip NARs consist of is put together and inflated as one: that takes no stream and no buffers for each of thousands of small files. Inflating is
 * done by other threads, while the next chunk is put together.
 *
 * @param reading whose writer takes the deflated stream, without a bound
 * @param nar takes the NAR
 * @param recycle told of the chunks of the deflated stream once they have been inflated
 * @throws CorruptObjectError when what comes out is not the NAR that the plan describes
 */
export async function* plainBody(
  reading: Reading,
  nar: BodyWriter,
  recycle: (chunk: Buffer) => void,
): AsyncGenerator<Buffer, void> {
  const { plan, signal } = reading
  const first = plan.startBefore(nar.start)
  const inflater = createInflateRaw({ chunkSize: BODY_CHUNK })
  const feeding = feed(deflatedFrom(reading, first.file), inflater, recycle)
  // It is awaited below; a failure reaches the reader through the inflater.
  feeding.catch(() => {})
  nar.pass(first.offset)
  let crc: number | undefined = first.offset === 0 ? 0 : undefined
  let size = first.offset
  try {
    for await (const piece of inflater as AsyncIterable<Buffer>) {
      signal?.throwIfAborted()
      size += piece.length
      if (size > plan.narSize) throw damaged(plan, `they inflate to more than ${plan.narSize} bytes`)
      if (crc !== undefined) crc = crc32(piece, crc)
      // The last bytes are not given away before all of them are known to be right.
      if (size === plan.narSize && (crc ?? plan.crc32) !== (plan.crc32 ?? crc))
        throw damaged(plan, 'their checksum is another')
      nar.write(piece)
      release(piece)
      if (nar.ready) yield* completeChunks(nar)
      if (nar.done) break
    }
    if (!nar.done) throw damaged(plan, `they inflate to ${size} bytes instead of ${plan.narSize}`)
    yield* remainingChunks(nar)
  } catch (error) {
    throw isDeflateError(error) ? damaged(plan, (error as Error).message, error) : error
  } finally {
    inflater.destroy()
    await feeding.catch(() => {})
  }
}

/**
 * Frees the memory of a piece at once, when the inflater has filled it to its end and so is done with it. Left to the garbage
 * collector, these buffers would cost full collections, as V8 counts their memory apart from its heap.
 */
function release({ buffer, byteOffset, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && byteLength > 0 && byteOffset + byteLength === BODY_CHUNK)
    buffer.transfer(0)
}

/** The NAR from a file's framing on, as one deflate stream. */
async function* deflatedFrom(reading: Reading, first: number): AsyncGenerator<Buffer, void> {
  const { out, gather } = reading
  try {
    yield* splicedFiles(reading, first)
    out.write(FINAL_BLOCK)
    yield* remainingChunks(out)
  } finally {
    gather.release()
  }
}

/** Has a stream inflated, a chunk after the other. When it fails, so does the inflater. */
async function feed(
  chunks: AsyncIterable<Buffer>,
  inflater: InflateRaw,
  recycle: (chunk: Buffer) => void,
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
function inflate(inflater: InflateRaw, chunk: Buffer): Promise<void> {
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

function isDeflateError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return code?.startsWith('Z_') === true
}

function damaged(plan: NarPlan, problem: string, cause?: unknown): CorruptObjectError {
  const options = cause === undefined ? undefined : { cause }
  return new CorruptObjectError(plan.tree, 'the repository', `its blobs are damaged: ${problem}`, options)
}
