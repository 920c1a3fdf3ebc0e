import { GachixError } from '../../util/errors.ts'

/** A source sent a complete pack without all that was asked for. */
export class IncompletePackError extends GachixError {
  constructor(missing: number) {
    super('ERR_PACK_INCOMPLETE', `the pack lacks ${missing} of the objects that were asked for`)
  }
}
