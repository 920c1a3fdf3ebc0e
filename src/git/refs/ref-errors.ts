import { GachixError } from '../../util/errors.ts'

/** A ref change that cannot be stored: a forbidden name, a malformed object id, a name that another ref blocks. */
export class InvalidRefUpdateError extends GachixError {
  constructor(message: string) {
    super('ERR_INVALID_REF_UPDATE', message)
  }
}

/** `packed-refs` is not what Git writes. */
export class PackedRefsError extends GachixError {
  /** Line in the file, counted from 1. */
  readonly line: number

  constructor(source: string, line: number, reason: string) {
    super(
      'ERR_PACKED_REFS_MALFORMED',
      `${source}: line ${line}: ${reason}. Mend or remove that line by hand, or restore the file from a clone or backup`,
    )
    this.line = line
  }
}

/** `packed-refs` is larger than gachix is willing to hold in memory. */
export class PackedRefsTooLargeError extends GachixError {
  constructor(path: string, size: number, limit: number) {
    super('ERR_PACKED_REFS_TOO_LARGE', `${path} has ${size} bytes; gachix opens at most ${limit}`)
  }
}

/** The journal is damaged before its end, so that cutting it there would lose changes that were confirmed. */
export class JournalDamagedError extends GachixError {
  /** Where the first unreadable record begins, in bytes. */
  readonly offset: number

  constructor(path: string, offset: number, reason: string) {
    super(
      'ERR_JOURNAL_DAMAGED',
      `${path} is damaged at byte ${offset} (${reason}), and valid records follow. ` +
        `Keep a copy, then either run "truncate -s ${offset} ${path}" to keep what comes before the damage, or remove the file ` +
        `to keep only what packed-refs has; packages that are lost by that must be added again`,
    )
    this.offset = offset
  }
}

/** The file in the journal's place is not a journal, or one of a newer gachix. */
export class JournalFormatError extends GachixError {
  constructor(path: string) {
    super(
      'ERR_JOURNAL_FORMAT',
      `${path} is not a journal that this version of gachix can read. Use the version that wrote it, or move the file away`,
    )
  }
}

/** The journal could not be written and its state on disk is unknown; the store must be opened again. */
export class JournalBrokenError extends GachixError {
  constructor(path: string, options?: ErrorOptions) {
    super(
      'ERR_JOURNAL_BROKEN',
      `${path} could not be written to the disk; nothing more is published until the repository is opened again`,
      options,
    )
  }
}

/** A change was asked of refs that were opened for reading only. */
export class RefsReadOnlyError extends GachixError {
  constructor(gitDir: string) {
    super('ERR_READ_ONLY', `${gitDir} was opened for reading only`)
  }
}

/** The ref store was used after `close()`. */
export class RefStoreClosedError extends GachixError {
  constructor(gitDir: string) {
    super('ERR_REF_STORE_CLOSED', `the refs of ${gitDir} are closed`)
  }
}

/** Other processes replace `packed-refs` faster than it can be read. */
export class RefsChangingError extends GachixError {
  constructor(gitDir: string) {
    super('ERR_REFS_CHANGING', `the refs of ${gitDir} change faster than they can be read; try again later`)
  }
}
