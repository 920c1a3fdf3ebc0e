import { GachixError } from '../../util/errors.ts'

/** No node listens on the control socket. */
export class NodeUnreachableError extends GachixError {
  constructor(path: string, cause: NodeJS.ErrnoException) {
    const reason =
      cause.code === 'EACCES'
        ? 'it belongs to another user'
        : 'no node listens there; gachix serve starts one'
    super('ERR_NODE_UNREACHABLE', `cannot reach a node through ${path}: ${reason}`, { cause })
  }
}

/** The node went away in the middle of an operation. */
export class NodeVanishedError extends GachixError {
  constructor(options?: ErrorOptions) {
    const advice = 'packages that it had published are kept; see its log and run the command again'
    super('ERR_NODE_VANISHED', `the node stopped before it had answered; ${advice}`, options)
  }
}

/** The two ends of the control socket do not understand each other. */
export class ControlProtocolError extends GachixError {
  constructor(what: string, options?: ErrorOptions) {
    super(
      'ERR_CONTROL_PROTOCOL',
      `${what}; node and command may be of different versions: restart the node`,
      options,
    )
  }
}

/** The control socket cannot be made. */
export class ControlSocketError extends GachixError {
  constructor(path: string, reason: string, options?: ErrorOptions) {
    super('ERR_CONTROL_SOCKET', `cannot make the control socket ${path}: ${reason}`, options)
  }
}
