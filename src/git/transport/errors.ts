import { GachixError } from '../../util/errors.ts'

/** A text is no URL of a Git remote, or one that would be dangerous to use. Nothing was run. */
export class RemoteUrlError extends GachixError {
  constructor(message: string) {
    super('ERR_REMOTE_URL', message)
  }
}

/** A remote cannot be reached, or the connection was lost. */
export class RemoteUnreachableError extends GachixError {
  constructor(remote: string, reason: string, options?: ErrorOptions) {
    super('ERR_REMOTE_UNREACHABLE', `cannot reach ${remote}: ${reason}`, options)
  }
}

/** A remote was reached and fell silent, or took nothing, for longer than is allowed. */
export class RemoteTimeoutError extends GachixError {
  constructor(remote: string, waited: string, ms: number) {
    super('ERR_REMOTE_TIMEOUT', `${remote} ${waited} for ${ms / 1000} s; it was given up`)
  }
}

/** A remote was reached and does not do what is asked: no such repository, not allowed, an error of its own. */
export class RemoteRefusedError extends GachixError {
  constructor(remote: string, reason: string, options?: ErrorOptions) {
    super('ERR_REMOTE_REFUSED', `${remote}: ${reason}`, options)
  }
}

/** What answers is no Git server, or breaks off. */
export class RemoteProtocolError extends GachixError {
  constructor(remote: string, problem: string, options?: ErrorOptions) {
    super('ERR_REMOTE_PROTOCOL', `${remote} does not answer as a Git server does: ${problem}`, options)
  }
}
