import type { Operations } from '../http/control/api.ts'
import { ControlClient } from '../http/control/client.ts'
import { NodeUnreachableError } from '../http/control/errors.ts'
import { errorCode } from '../util/errors.ts'

/**
 * A client of the node that listens on the control socket, `undefined` when none does (yet, or any more).
 *
 * @throws NodeUnreachableError when the node is another user's
 */
export async function connectToNode(socket: string): Promise<Operations | undefined> {
  const client = new ControlClient(socket)
  try {
    await client.status()
    return client
  } catch (error) {
    if (error instanceof NodeUnreachableError && errorCode(error.cause) !== 'EACCES') return undefined
    throw error
  }
}
