/**
 * Bytes from elsewhere are not a message of the kind they should be, or a message that is to be sent breaks a bound.
 *
 * The contract imports nothing of the product, so this is no `GachixError`; it has a stable `code` like one.
 */
export class MessageError extends Error {
  readonly code = 'ERR_MESSAGE_INVALID'

  /** @param what the message and field that are meant, for instance `head.network` */
  constructor(what: string, problem: string) {
    super(`${what}: ${problem}`)
    this.name = 'MessageError'
  }
}
