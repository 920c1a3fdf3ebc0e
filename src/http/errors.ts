import { GachixError } from '../util/errors.ts'

/** The client left before it had the whole answer: nothing of ours is wrong. */
export class ClientGoneError extends GachixError {
  constructor(options?: ErrorOptions) {
    super('ERR_CLIENT_GONE', 'the client closed the connection before it had the whole answer', options)
  }
}

/** A body that is not as long as its `Content-Length` promised. */
export class BodyLengthError extends GachixError {
  constructor(sent: number, promised: number) {
    super(
      'ERR_BODY_LENGTH',
      `the body has ${sent} bytes${sent > promised ? ' or more' : ''} where ${promised} were promised`,
    )
  }
}

const LISTEN_ERRORS: Readonly<Record<string, readonly [code: string, reason: string]>> = {
  EADDRINUSE: ['ERR_ADDRESS_IN_USE', 'another program listens there; stop it or choose another server.port'],
  EACCES: ['ERR_LISTEN_DENIED', 'this user may not use that port; choose a server.port of 1024 or more'],
  EADDRNOTAVAIL: ['ERR_ADDRESS_UNKNOWN', 'this machine has no such address; choose another server.host'],
  EAFNOSUPPORT: [
    'ERR_ADDRESS_UNKNOWN',
    'this machine has no such kind of address; choose another server.host',
  ],
  ENOTFOUND: ['ERR_ADDRESS_UNKNOWN', 'that name has no address; choose another server.host'],
  EAI_AGAIN: ['ERR_ADDRESS_UNKNOWN', 'that name could not be looked up; choose another server.host'],
}

/** The node cannot listen where it was told to. */
export class ListenError extends GachixError {
  constructor(where: string, cause: NodeJS.ErrnoException) {
    const [code, reason] = LISTEN_ERRORS[cause.code ?? ''] ?? ['ERR_LISTEN_FAILED', cause.message]
    super(code, `cannot listen on ${where}: ${reason}`, { cause })
  }
}
