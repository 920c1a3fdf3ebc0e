import type { IncomingMessage } from 'node:http'
import { createGunzip } from 'node:zlib'

import { errorMessage, GachixError } from '../../util/errors.ts'
import { ClientGoneError } from '../errors.ts'
import { MAX_GIT_REQUEST } from '../limits.ts'

/** A request has a body that is not read. */
export class RequestBodyError extends GachixError {
  /** HTTP status of the answer. */
  readonly status: 400 | 413 | 415

  constructor(status: 400 | 413 | 415, message: string) {
    super('ERR_GIT_REQUEST_BODY', message)
    this.status = status
  }
}

/**
 * The body of a request, inflated where it is compressed, as it comes. The connection stays usable for an answer when
 * reading ends before the body does.
 *
 * @throws RequestBodyError for an encoding that is not known, a damaged body, and one of more than `MAX_GIT_REQUEST` bytes
 * @throws ClientGoneError when the client leaves in the middle
 */
export async function* requestBody(req: IncomingMessage): AsyncGenerator<Uint8Array> {
  const encoding = (req.headers['content-encoding'] ?? 'identity').toLowerCase()
  if (encoding !== 'identity' && encoding !== 'gzip' && encoding !== 'x-gzip')
    throw new RequestBodyError(415, 'a request may be compressed with gzip, nothing else')
  let length = 0
  for await (const chunk of encoding === 'identity' ? chunksOf(req) : inflated(req)) {
    length += chunk.length
    if (length > MAX_GIT_REQUEST)
      throw new RequestBodyError(
        413,
        `a request may have ${MAX_GIT_REQUEST} bytes; ask for fewer refs at once`,
      )
    yield chunk
  }
}

async function* chunksOf(req: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    // Leaving the loop must not take the connection down.
    yield* req.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  } catch (cause) {
    throw req.complete ? cause : new ClientGoneError({ cause })
  }
}

async function* inflated(req: IncomingMessage): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip()
  const cut = (cause: unknown): void => void gunzip.destroy(new ClientGoneError({ cause }))
  req.on('error', cut)
  req.pipe(gunzip)
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array
  } catch (error) {
    if (error instanceof GachixError) throw error
    throw new RequestBodyError(400, `the body cannot be inflated: ${errorMessage(error)}`)
  } finally {
    req.off('error', cut)
    req.unpipe(gunzip)
    gunzip.destroy()
  }
}
