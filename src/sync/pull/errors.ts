import { errorCode, errorMessage, GachixError } from '../../util/errors.ts'

/** A source could not answer or deliver; the others may. */
export class SourceFailedError extends GachixError {
  readonly source: string

  constructor(source: string, cause: unknown) {
    super(errorCode(cause), `${source}: ${errorMessage(cause)}`, { cause })
    this.source = source
  }
}

/** This machine cannot take in what a source gives: its disk is full, for instance. No source is at fault, and none can help. */
export class CannotStoreError extends GachixError {
  constructor(cause: unknown) {
    super(errorCode(cause), `what is pulled cannot be stored here: ${errorMessage(cause)}`, { cause })
  }
}

/** There is no source to pull from. */
export class NoSourcesError extends GachixError {
  constructor() {
    super(
      'ERR_NO_SOURCE',
      'there is nothing to pull from: add a peer, or set store.remotes, store.builders or store.upstreams',
    )
  }
}

/** No source has the package, or none may be believed, or those that might have it failed. */
export class PackageUnavailableError extends GachixError {
  /**
   * @param path store path or hash part
   * @param reasons what the sources said or how they failed; the first one gives the code, as most often there is one
   */
  constructor(path: string, asked: readonly string[], reasons: readonly Error[]) {
    const [first] = reasons
    const why = reasons.map(errorMessage).join('; ')
    super(
      first === undefined ? 'ERR_PACKAGE_UNAVAILABLE' : errorCode(first),
      first === undefined
        ? `${path} is in none of the sources (${asked.join(', ')})`
        : `${path} cannot be had: ${why}`,
      { cause: first },
    )
  }
}
