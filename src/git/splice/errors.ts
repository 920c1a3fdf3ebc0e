import { GachixError } from '../../util/errors.ts'

/** A zlib stream that breaks RFC 1950 or RFC 1951. The message says what is wrong and at which bit. */
export class DeflateFormatError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DEFLATE_INVALID', message, options)
  }
}
