import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel'
import { AbortedError, errorCode, errorMessage } from '../../util/errors.ts'
import { BREAKER_FAILURES, BREAKER_PAUSE } from '../limits.ts'
import { isOwnFailure } from './own-failure.ts'

/** How a source has been doing since the node started. */
export interface SourceHealth {
  /** `failing`: it is not asked on a miss until its pause is over. */
  readonly state: 'unused' | 'ok' | 'failing'
  readonly requests: number
  readonly failures: number
  /** Milliseconds that the last successful question took. */
  readonly latency: number | null
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Packages that were taken from it, and the NAR bytes of these. */
  readonly packages: number
  readonly narBytes: number
  readonly lastError: { readonly code: string; readonly message: string; readonly at: string } | null
}

/** Counts what a source does, and keeps it from being asked again and again while it fails. */
export class HealthRecord {
  bytesReceived = 0
  bytesSent = 0
  packages = 0
  narBytes = 0
  #requests = 0
  #failures = 0
  #latency: number | null = null
  #lastError: SourceHealth['lastError'] = null
  readonly #breaker = circuitBreaker(
    handleWhen((error) => !saysNothing(error)),
    { halfOpenAfter: BREAKER_PAUSE, breaker: new ConsecutiveBreaker(BREAKER_FAILURES) },
  )

  get snapshot(): SourceHealth {
    return {
      state: this.resting ? 'failing' : this.#requests === 0 ? 'unused' : 'ok',
      requests: this.#requests,
      failures: this.#failures,
      latency: this.#latency,
      bytesReceived: this.bytesReceived,
      bytesSent: this.bytesSent,
      packages: this.packages,
      narBytes: this.narBytes,
      lastError: this.#lastError,
    }
  }

  /** Whether the source has failed so often that it is left alone for a while. */
  get resting(): boolean {
    return this.#breaker.state === CircuitState.Open
  }

  /** Does something with the source and notes how it went. */
  async observe<T>(work: () => Promise<T>): Promise<T> {
    const started = performance.now()
    this.#requests++
    try {
      const result = await work()
      this.#latency = Math.round(performance.now() - started)
      return result
    } catch (error) {
      if (!saysNothing(error)) this.failed(error)
      throw error
    }
  }

  /**
   * The same, but refused at once while the source is resting.
   *
   * @throws BrokenCircuitError of cockatiel while it rests
   */
  guard<T>(work: () => Promise<T>): Promise<T> {
    return this.#breaker.execute(() => this.observe(work))
  }

  /** Notes a failure that showed outside of `observe`. */
  failed(error: unknown): void {
    this.#failures++
    this.#lastError = {
      code: errorCode(error),
      message: errorMessage(error),
      at: new Date().toISOString(),
    }
  }
}

/** Whether a failure says nothing of the source. */
function saysNothing(error: unknown): boolean {
  return error instanceof AbortedError || isOwnFailure(error)
}
