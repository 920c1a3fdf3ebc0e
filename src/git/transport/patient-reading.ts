import type { Traffic } from './connection.ts'

/** Waits of a reader, in milliseconds, and what ends them. */
export interface Waits {
  /** The limit of the next wait. */
  limit(): number
  /** Called when a wait was longer; it has to make the stream fail. */
  exceeded(ms: number): void
}

/**
 * The chunks of a stream, counted. Only the time that the reader waits for the stream counts against its limit, not what
 * the reader takes for itself.
 */
export async function* readPatiently(
  stream: AsyncIterable<Uint8Array>,
  waits: Waits,
  traffic: Traffic,
): AsyncGenerator<Uint8Array, void> {
  const chunks = stream[Symbol.asyncIterator]()
  try {
    for (;;) {
      const ms = waits.limit()
      const timer = setTimeout(() => waits.exceeded(ms), ms)
      let next: IteratorResult<Uint8Array>
      try {
        next = await chunks.next()
      } finally {
        clearTimeout(timer)
      }
      if (next.done) return
      traffic.received += next.value.length
      yield next.value
    }
  } finally {
    await chunks.return?.()
  }
}
