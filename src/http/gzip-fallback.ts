import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

import type { NarBody } from '../store/api.ts'
import { BodyLengthError } from './errors.ts'
import { FALLBACK_GZIP_LEVEL } from './limits.ts'

const CHUNK_SIZE = 256 * 1024

/**
 * A plain NAR as one gzip member, compressed as it is read. For URLs of gzip NARs that were published once and whose
 * spliced form the repository cannot make any more.
 */
export async function* gzipOnTheFly(plain: NarBody, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const gzip = createGzip({ level: FALLBACK_GZIP_LEVEL, chunkSize: CHUNK_SIZE })
  const feeding = pipeline(Readable.from(complete(plain, signal)), gzip, { signal })
  // A failure reaches the reader through the destroyed stream; the promise is awaited below.
  feeding.catch(() => {})
  try {
    yield* gzip as AsyncIterable<Buffer>
  } finally {
    gzip.destroy()
    await feeding.catch(() => {})
  }
}

/** The body, failing when it is not as long as it says: gzip would seal what is there with a valid trailer. */
async function* complete(body: NarBody, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let length = 0
  for await (const chunk of body.read(undefined, { signal })) {
    length += chunk.byteLength
    yield chunk
  }
  if (length !== body.size) throw new BodyLengthError(length, body.size)
}
