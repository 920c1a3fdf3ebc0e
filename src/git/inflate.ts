/**
 * Inflating object data whose length is declared beforehand: nothing is allocated beyond that length, and a stream
 * that gives fewer or more bytes than declared is refused.
 */
import { pipeline } from 'node:stream'
import { constants, createInflate, inflate, inflateSync, type ZlibOptions } from 'node:zlib'
import { AbortedError } from '../util/errors.ts'
import { MalformedObjectError } from './object-errors.ts'
import { createSmallInflater, type SmallInflater } from './small-inflate.ts'

/** Up to this many bytes are inflated at once; more go to the thread pool, which costs a small one three times as much. */
export const SYNC_INFLATE_SIZE = 128 * 1024
/** The largest piece that a stream of object data comes in. */
export const STREAM_CHUNK_SIZE = 256 * 1024

/** Deflate cannot make less than one byte out of this many. */
const HIGHEST_RATIO = 1032
const SMALLEST_CHUNK = 64

/** Of this thread: used to the end before anybody else can. */
let smallInflater: SmallInflater | undefined

/** Throws `AbortedError` when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError(undefined, { cause: signal.reason })
}

/**
 * Refuses a declared size that so many compressed bytes cannot hold, before anything is allocated for it.
 *
 * @throws MalformedObjectError
 */
export function checkDeclaredSize(size: number, compressed: number): void {
  if (size > compressed * HIGHEST_RATIO) {
    throw new MalformedObjectError(
      `it declares ${size} bytes where ${compressed} compressed bytes cannot hold them`,
    )
  }
}

/**
 * Inflates a zlib stream of `size` bytes in memory: at once when it is small, else off the main thread. Bytes after
 * the end of the stream are not looked at.
 *
 * @throws MalformedObjectError when the data is damaged or has another length
 */
export function inflateExact(raw: Uint8Array, size: number): Buffer | Promise<Buffer> {
  if (size <= SYNC_INFLATE_SIZE) return inflateSmall(raw, size)
  checkDeclaredSize(size, raw.length)
  return new Promise((resolve, reject) => {
    inflate(raw, exactOptions(size), (error, data) => {
      if (error !== null) reject(damaged(error))
      else if (data.length !== size) reject(wrongLength(data.length, size))
      else resolve(data)
    })
  })
}

/**
 * The same at once.
 *
 * @param size at most `SYNC_INFLATE_SIZE`
 * @throws MalformedObjectError when the data is damaged or has another length
 */
export function inflateSmall(raw: Uint8Array, size: number): Buffer {
  checkDeclaredSize(size, raw.length)
  const data = Buffer.allocUnsafe(size + 1)
  let produced: number
  try {
    smallInflater ??= createSmallInflater()
    produced = smallInflater.inflate(raw, data).produced
  } catch (error) {
    throw damaged(error)
  }
  if (produced !== size) throw wrongLength(produced, size)
  return data.subarray(0, size)
}

/**
 * The first bytes of a zlib stream, as many as the given beginning of it yields (possibly none).
 *
 * @throws MalformedObjectError when the data is damaged
 */
export function inflatePrefix(raw: Uint8Array): Buffer {
  try {
    return inflateSync(raw, { finishFlush: constants.Z_SYNC_FLUSH, chunkSize: 1024 })
  } catch (error) {
    throw damaged(error)
  }
}

/**
 * Inflates a zlib stream of exactly `size` bytes piece by piece (at most `STREAM_CHUNK_SIZE`), off the main thread. What
 * `raw` throws is passed on.
 *
 * @throws MalformedObjectError when the data is damaged or has another length
 */
export async function* inflateStream(
  raw: AsyncIterable<Uint8Array>,
  size: number,
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  throwIfAborted(signal)
  const inflater = createInflate({ chunkSize: STREAM_CHUNK_SIZE })
  // The source's own error must reach the caller as it is, to be told apart from damaged data.
  let sourceError: unknown
  const source = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of raw) {
        throwIfAborted(signal)
        yield chunk
      }
    } catch (error) {
      sourceError = error
      throw error
    }
  }
  // Errors destroy the inflater and surface in the loop below; leaving the loop destroys the source.
  pipeline(source, inflater, () => {})
  let produced = 0
  try {
    for await (const chunk of inflater as AsyncIterable<Buffer>) {
      throwIfAborted(signal)
      produced += chunk.length
      if (produced > size) throw wrongLength(produced, size)
      yield chunk
    }
  } catch (error) {
    throw sourceError ?? damaged(error)
  }
  if (produced !== size) throw wrongLength(produced, size)
}

/** A buffer in pieces of at most `STREAM_CHUNK_SIZE`, which share its memory. */
export async function* slices(data: Buffer): AsyncGenerator<Buffer, void, undefined> {
  for (let start = 0; start < data.length; start += STREAM_CHUNK_SIZE) {
    yield data.subarray(start, start + STREAM_CHUNK_SIZE)
  }
}

function exactOptions(size: number): ZlibOptions {
  // One byte more than needed lets zlib see the end of its stream without a second round.
  return {
    maxOutputLength: Math.max(size, 1),
    chunkSize: Math.min(Math.max(size + 1, SMALLEST_CHUNK), STREAM_CHUNK_SIZE),
  }
}

function wrongLength(found: number, size: number): MalformedObjectError {
  return new MalformedObjectError(
    `its data has ${found > size ? 'more' : 'fewer'} than the ${size} bytes it declares`,
  )
}

/** zlib's own errors become ours; anything else goes on as it is. */
function damaged(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error
  if (error.code === 'ERR_BUFFER_TOO_LARGE') {
    return new MalformedObjectError('its data has more bytes than it declares', { cause: error })
  }
  if (error.code.startsWith('Z_')) {
    return new MalformedObjectError(`its data does not inflate (${error.message})`, { cause: error })
  }
  return error
}
