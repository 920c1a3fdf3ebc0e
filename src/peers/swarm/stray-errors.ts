/** What libp2p throws when a stream or connection has ended in the meantime (`@libp2p/interface`). */
const OF_AN_ENDED_CONNECTION = new Set([
  'StreamStateError',
  'StreamResetError',
  'StreamClosedError',
  'StreamAbortedError',
  'MuxerClosedError',
  'ConnectionClosedError',
])

/**
 * Whether an exception that nobody caught tells only of one connection that has ended. libp2p works in event listeners, timers and
 * microtasks; what is thrown there reaches the process, and is no reason to end it.
 */
export function isOfEndedConnection(error: unknown): boolean {
  return error instanceof Error && OF_AN_ENDED_CONNECTION.has(error.name)
}
