import { Readable } from 'node:stream'
import { createGzip, gzipSync } from 'node:zlib'
import { counted } from '../../util/counted.ts'

/** Bytes of a request up to which it is gathered and goes with its length; longer ones are streamed. Git's own value. */
export const GATHERED_REQUEST_BYTES = 1024 * 1024

/** Bytes below which compressing a request is not worth the work. Git's own value. */
const SMALL_REQUEST = 1024

/** What `fetch` takes for a body. */
export type RequestBody = NonNullable<RequestInit['body']>

/** The body of a request with the headers that describe it. */
export interface HttpBody {
  readonly headers: Readonly<Record<string, string>>
  /** The body, once. `onSent` is told the length of each part as it goes. */
  open(onSent: (bytes: number) => void): RequestBody
}

type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/**
 * Makes the body of a request: in one piece with its length where it is short, else as a stream.
 *
 * @param compress whether it is text worth compressing, and not a pack
 */
export async function httpBody(pieces: Pieces, compress: boolean): Promise<HttpBody> {
  const iterator = Readable.from(pieces, { objectMode: true })[Symbol.asyncIterator]()
  const gathered: Uint8Array[] = []
  let length = 0
  while (length <= GATHERED_REQUEST_BYTES) {
    const { done, value } = await iterator.next()
    if (done) return wholeBody(Buffer.concat(gathered), compress)
    gathered.push(value as Uint8Array)
    length += (value as Uint8Array).length
  }
  return streamedBody(gathered, { [Symbol.asyncIterator]: () => iterator }, compress)
}

function wholeBody(plain: Buffer, compress: boolean): HttpBody {
  const isCompressed = compress && plain.length > SMALL_REQUEST
  const bytes = new Uint8Array(isCompressed ? gzipSync(plain) : plain)
  return {
    headers: isCompressed ? { 'content-encoding': 'gzip' } : {},
    open(onSent) {
      onSent(bytes.length)
      return bytes
    },
  }
}

function streamedBody(
  start: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
  compress: boolean,
): HttpBody {
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield* start
    yield* rest
  }
  return {
    headers: compress ? { 'content-encoding': 'gzip' } : {},
    open(onSent) {
      const chunks = compress ? Readable.from(whole()).compose(createGzip()) : whole()
      return ReadableStream.from(
        counted(chunks as AsyncIterable<Uint8Array>, onSent),
      ) as unknown as RequestBody
    },
  }
}
