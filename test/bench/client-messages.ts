/** What the benchmark and its client process say to each other. */

/** A file to ask for. */
export interface Request {
  readonly path: string
  /** Bytes that the body must have. */
  readonly size: number
}

/** Fetch `requests` over and over, by connections that pull from one queue, each asking again when it has its answer. */
export interface Job {
  readonly port: number
  readonly requests: readonly Request[]
  readonly connections: number
  /** Number of answers to get: the requests are repeated or cut short. */
  readonly count: number
  /** Milliseconds that each connection waits before it asks again; 0 by default. */
  readonly pause?: number
}

export interface JobResult {
  /** From the first request to the last byte; connecting is not part of it. */
  readonly seconds: number
  /** Milliseconds of each answer, from request sent to body complete, in the order of completion. */
  readonly latencies: Float64Array
  /** CPU seconds of the client itself. */
  readonly clientCpuSeconds: number
}

/** The answer to a job. */
export type Reply = { readonly result: JobResult } | { readonly error: string }
