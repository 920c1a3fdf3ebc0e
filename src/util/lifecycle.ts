/** Something that holds resources between `start` and `stop`. `stop` is idempotent and waits until all is released. */
export interface Startable {
  start(): Promise<void>
  stop(): Promise<void>
}

/** Options of everything that waits. */
export interface AbortOptions {
  signal?: AbortSignal
}
