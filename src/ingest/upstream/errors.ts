import { GachixError } from '../../util/errors.ts'

/** A binary cache did not give what was asked of it. Subclasses say why; the message names the cache. */
export class UpstreamError extends GachixError {
  constructor(code: string, source: string, message: string, options?: ErrorOptions) {
    super(code, `${source}: ${message}`, options)
  }
}

/** No connection, or it was lost. */
export class UpstreamUnreachableError extends UpstreamError {
  constructor(source: string, message: string, options?: ErrorOptions) {
    super('ERR_UPSTREAM_UNREACHABLE', source, message, options)
  }
}

/** It did not answer in time, or fell silent, or sends too slowly. */
export class UpstreamTimeoutError extends UpstreamError {
  constructor(source: string, message: string) {
    super('ERR_UPSTREAM_TIMEOUT', source, message)
  }
}

/** It answered with a status that is neither success nor "not there". */
export class UpstreamStatusError extends UpstreamError {
  readonly status: number

  constructor(source: string, what: string, status: number) {
    const hint = status === 401 || status === 407 ? '; are user and password in its URL right?' : ''
    super('ERR_UPSTREAM_STATUS', source, `it answered ${what} with status ${status}${hint}`)
    this.status = status
  }
}

/** What it says breaks the rules of Nix's binary caches, or leads to where nothing may be fetched from. */
export class UpstreamInvalidError extends UpstreamError {
  constructor(source: string, message: string, options?: ErrorOptions) {
    super('ERR_UPSTREAM_INVALID', source, message, options)
  }
}

/** A NAR is not what its narinfo says: cut short, too long, damaged, or not compressed as said. */
export class UpstreamNarError extends UpstreamError {
  constructor(source: string, message: string, options?: ErrorOptions) {
    super('ERR_UPSTREAM_NAR', source, message, options)
  }
}

/** It does not have a file that it, or who asks, believes it to have. */
export class UpstreamMissingError extends UpstreamError {
  constructor(source: string, message: string) {
    super('ERR_UPSTREAM_MISSING', source, message)
  }
}
