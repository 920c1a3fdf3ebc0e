import { GachixError } from '../../util/errors.ts'
import { ARRIVAL_PROGRESS_BYTES } from '../limits.ts'

/** A source gives next to nothing, while others have the same. */
export class StalledSourceError extends GachixError {
  constructor(milliseconds: number) {
    super(
      'ERR_SOURCE_STALLED',
      `the source gave next to nothing in ${milliseconds} ms, and others have the same; it is left for them`,
    )
  }
}

/**
 * The chunks of a source, as long as it is not waited for too long: only the time counts in which nobody is busy with what has
 * come, and it starts anew with every `ARRIVAL_PROGRESS_BYTES`.
 *
 * @param patience milliseconds
 * @param isDispensable asked when they are over: whether others have the same, so that the source may be left. Never rejects
 * @throws StalledSourceError; the source is left then
 */
export async function* withPatience(
  chunks: AsyncIterable<Uint8Array>,
  patience: number,
  isDispensable: () => Promise<boolean>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = chunks[Symbol.asyncIterator]()
  let done = false
  let waited = 0
  let bytes = 0
  try {
    for (;;) {
      const started = performance.now()
      const next = await within(iterator.next(), patience - waited, async () => {
        if (await isDispensable()) throw new StalledSourceError(patience)
      })
      waited += performance.now() - started
      if (next.done) {
        done = true
        return
      }
      bytes += next.value.length
      if (bytes >= ARRIVAL_PROGRESS_BYTES) bytes = waited = 0
      yield next.value
    }
  } finally {
    // Not waited for: it comes after what the source is doing now, which may take as long as it likes.
    if (!done) iterator.return?.().catch(() => {})
  }
}

/** What the work gives; when it takes longer than so many milliseconds, what `late` throws. */
async function within<T>(work: Promise<T>, milliseconds: number, late: () => Promise<void>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => late().catch(reject), Math.max(0, milliseconds))
  // Its failure comes up here, or is that of a source that has been left.
  work.catch(() => {})
  return Promise.race([work, promise]).finally(() => clearTimeout(timer))
}
