import { GachixError } from '../../util/errors.ts'

/** A pack from elsewhere breaks Git's format, or holds what its own words do not cover. */
export class PackInvalidError extends GachixError {
  constructor(problem: string, options?: ErrorOptions) {
    super('ERR_PACK_INVALID', `the pack is refused: ${problem}`, options)
  }
}

/** A pack from elsewhere is larger than whoever asked for it allowed. */
export class BudgetExceededError extends GachixError {
  /** @param what is limited, for instance `objects` or `inflated bytes` */
  constructor(what: string, found: number, limit: number) {
    super('ERR_BUDGET_EXCEEDED', `the pack is refused: ${found} ${what} are more than the ${limit} allowed`)
  }
}

/** An entry does not have the length that it declares. */
export function wrongLength(size: number): PackInvalidError {
  return new PackInvalidError(`an entry that declares ${size} bytes holds more or fewer`)
}

/** zlib refuses an entry. */
export function damaged(error: unknown): PackInvalidError {
  return new PackInvalidError('an entry does not inflate', { cause: error })
}
