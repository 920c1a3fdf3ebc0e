/**
 * The one error family of gachix.
 *
 * Every failure that a user or a peer can cause is a `GachixError` with a stable `code` (scripts match it, documents
 * explain it) and a message that names the thing and, where there is one, the way out. Anything else that is thrown is
 * a defect of ours.
 */
export class GachixError extends Error {
  /** Stable machine-readable code, `ERR_` followed by words in capitals. Never reused for another meaning. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** The caller's `AbortSignal` fired, or the part was stopped while it worked. */
export class AbortedError extends GachixError {
  constructor(message = 'the operation was aborted', options?: ErrorOptions) {
    super('ERR_ABORTED', message, options)
  }
}

/** `code` of anything thrown, for logs and JSON: a `GachixError`'s or Node's own (`ENOENT`), else `ERR_INTERNAL`. */
export function errorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return 'ERR_INTERNAL'
}

/** The message of anything thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
