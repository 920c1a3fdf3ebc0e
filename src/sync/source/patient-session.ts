/** Sessions with a bound on how long they can make us wait, whatever the transport: one that trickles never stalls. */
import { unlessAborted } from '../../ingest/abort.ts'
import type { FetchRequest, RepositorySession, RepositorySource } from '../../store/api.ts'
import { GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { OPENING_TIME, SLOW_BYTES, SLOW_TIME } from '../limits.ts'

/** How slow a source may be; the default is what `limits.ts` says. */
export interface Patience {
  /** Milliseconds until a session is open. */
  readonly opening: number
  /** Milliseconds of waiting in which at least `bytes` have to come. */
  readonly time: number
  readonly bytes: number
}

export const DEFAULT_PATIENCE: Patience = { opening: OPENING_TIME, time: SLOW_TIME, bytes: SLOW_BYTES }

/** A source answers, but so slowly that it would hold us for ever. */
export class SlowSourceError extends GachixError {
  constructor(source: string, what: string, ms: number) {
    super('ERR_SOURCE_SLOW', `${source} ${what} within ${ms / 1000} s; it was given up`)
  }
}

/** Opens a session that fails with a `SlowSourceError` when it is too slow. @throws SlowSourceError */
export async function openPatiently(
  source: RepositorySource,
  patience: Patience,
  options: AbortOptions,
): Promise<RepositorySession> {
  const limit = new Limit(options)
  const error = new SlowSourceError(source.name, 'was not ready', patience.opening)
  const timer = setTimeout(() => limit.fire(error), patience.opening)
  try {
    return patient(await limit.hold(source.open({ signal: limit.signal })), source.name, patience)
  } finally {
    clearTimeout(timer)
  }
}

function patient(session: RepositorySession, name: string, patience: Patience): RepositorySession {
  const error = () => new SlowSourceError(name, `gave less than ${patience.bytes} bytes`, patience.time)
  async function* listPatiently<T>(
    list: (options: AbortOptions) => AsyncIterable<T>,
    options: AbortOptions,
  ): AsyncGenerator<T, void> {
    const limit = new Limit(options)
    const stop = watch(session, patience, () => limit.fire(error()))
    try {
      yield* pieces(list({ signal: limit.signal }), limit)
    } finally {
      stop()
    }
  }
  return {
    get selective() {
      return session.selective
    },
    get bytesReceived() {
      return session.bytesReceived
    },
    get bytesSent() {
      return session.bytesSent
    },
    async packages(hashes, options = {}) {
      const limit = new Limit(options)
      const stop = watch(session, patience, () => limit.fire(error()))
      return limit.hold(session.packages(hashes, { signal: limit.signal })).finally(stop)
    },
    list: (options = {}) => listPatiently((bounded) => session.list(bounded), options),
    ...(session.narinfos && {
      narinfos: (hashes: readonly string[], options: AbortOptions = {}) =>
        listPatiently((bounded) => session.narinfos!(hashes, bounded), options),
    }),
    fetch: (request, options = {}) => fetchPatiently(session, request, patience, error, options),
    close: () => session.close(),
  }
}

/** Only the time that we wait for the source counts, not what we take ourselves for what it sent. */
async function* fetchPatiently(
  session: RepositorySession,
  request: FetchRequest,
  patience: Patience,
  error: () => SlowSourceError,
  options: AbortOptions,
): AsyncGenerator<Uint8Array, void> {
  const limit = new Limit(options)
  let left = patience.time
  let bytes = 0
  let started = performance.now()
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    started = performance.now()
    timer = setTimeout(() => limit.fire(error()), Math.max(left, 0))
  }
  try {
    wait()
    for await (const chunk of pieces(session.fetch(request, { signal: limit.signal }), limit)) {
      clearTimeout(timer)
      left -= performance.now() - started
      bytes += chunk.length
      if (bytes >= patience.bytes) {
        bytes = 0
        left = patience.time
      }
      yield chunk
      wait()
    }
  } finally {
    clearTimeout(timer)
  }
}

/** What comes until the limit fires, whether the source heeds the signal or not. */
async function* pieces<T>(source: AsyncIterable<T>, limit: Limit): AsyncGenerator<T, void> {
  const iterator = source[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value } = await limit.hold(iterator.next())
      if (done === true) return
      yield value
    }
  } finally {
    const ended = iterator.return?.()
    // One that was given up may never end.
    if (limit.signal.aborted) ended?.then(undefined, () => {})
    else await ended
  }
}

/** Looks whether enough comes while a question is under way. @returns a function that ends it */
function watch(session: RepositorySession, { time, bytes }: Patience, slow: () => void): () => void {
  let before = session.bytesReceived
  const timer = setInterval(() => {
    if (session.bytesReceived - before < bytes) slow()
    before = session.bytesReceived
  }, time)
  return () => clearInterval(timer)
}

/** The caller's signal and a bound of ours. */
class Limit {
  readonly signal: AbortSignal
  readonly #own = new AbortController()

  constructor({ signal }: AbortOptions) {
    this.signal = signal === undefined ? this.#own.signal : AbortSignal.any([signal, this.#own.signal])
  }

  fire(error: SlowSourceError): void {
    this.#own.abort(error)
  }

  /** What the work gives. @throws the error of the bound when it has fired */
  async hold<T>(work: Promise<T>): Promise<T> {
    try {
      return await unlessAborted(work, this.signal)
    } catch (error) {
      throw this.#own.signal.aborted ? this.#own.signal.reason : error
    }
  }
}
