import { AbortedError } from '../util/errors.ts'

/** The error of something that `signal` ended; the signal's reason is its cause. */
export function abortedError(signal: AbortSignal): AbortedError {
  return new AbortedError(undefined, { cause: signal.reason })
}

/** @throws AbortedError when the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal)
}
