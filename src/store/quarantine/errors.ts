import type { Oid } from '../../git/oid.ts'
import type { StorePath } from '../../nix/store-path.ts'
import { GachixError } from '../../util/errors.ts'

/** The commit that was announced for a package is not the one that its facts make. */
export class CommitMismatchError extends GachixError {
  constructor(path: StorePath, announced: Oid, reason: string) {
    super('ERR_COMMIT_MISMATCH', `${announced} is not the commit of ${path}: ${reason}`)
  }
}

/** There is no room for a pack in quarantine. It says nothing of the pack, or of who sent it. */
export class QuarantineFullError extends GachixError {
  /** @param limit bytes that the packs in a quarantine may take */
  constructor(limit: number) {
    super(
      'ERR_BUDGET_EXCEEDED',
      `there is no room for the pack: what waits to be proven may take ${limit} bytes; pull fewer packages at once`,
    )
  }
}

/** A quarantine is opened that is open already. */
export class QuarantineInUseError extends GachixError {
  constructor(name: string) {
    super('ERR_QUARANTINE_IN_USE', `the quarantine ${JSON.stringify(name)} is in use; close it first`)
  }
}
