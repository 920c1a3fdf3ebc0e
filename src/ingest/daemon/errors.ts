import { GachixError } from '../../util/errors.ts'

/** The daemon cannot be reached, or it closed the connection before it answered. */
export class DaemonUnavailableError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DAEMON_UNAVAILABLE', message, options)
  }
}

/** The daemon was reached and fell silent for longer than is allowed. */
export class DaemonTimeoutError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DAEMON_TIMEOUT', message, options)
  }
}

/** What the other side sent is not the worker protocol, or a version of it that is not understood. */
export class DaemonProtocolError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DAEMON_PROTOCOL', message, options)
  }
}

/** The daemon understood the request and refused it; the message is its own, without colours. */
export class DaemonError extends GachixError {
  /** The context that the daemon gave, innermost first; empty for most errors. */
  readonly traces: readonly string[]

  constructor(peer: string, message: string, traces: readonly string[] = [], options?: ErrorOptions) {
    super('ERR_DAEMON', [`${peer}: ${message}`, ...traces].join('\n'), options)
    this.traces = traces
  }
}
