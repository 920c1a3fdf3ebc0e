import type { StorePath } from '../../nix/store-path.ts'
import { GachixError } from '../../util/errors.ts'

/** The NAR that a source sent is not the one that the path info describes. */
export class NarMismatchError extends GachixError {
  constructor(path: StorePath, what: string, expected: string, actual: string) {
    super(
      'ERR_NAR_MISMATCH',
      `the NAR of ${path} has ${what} ${actual}, but its path info says ${expected}; nothing was stored`,
    )
  }
}

/** A package cannot be published because packages that it refers to are not in the store. */
export class MissingReferenceError extends GachixError {
  constructor(path: StorePath, missing: readonly StorePath[]) {
    super(
      'ERR_MISSING_REFERENCE',
      `${path} cannot be published: it refers to ${missing.join(', ')}, which the store does not have`,
    )
  }
}
