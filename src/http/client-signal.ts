import type { Socket } from 'node:net'

import { ClientGoneError } from './errors.ts'

/** One request's view of its connection. */
export interface ClientWatch {
  /** Fires with a `ClientGoneError` when the connection closes before `release`. */
  readonly signal: AbortSignal
  /** To be called when the answer is complete. */
  readonly release: () => void
}

const watched = new WeakMap<Socket, Set<AbortController>>()

/**
 * Watches for the client of a request to leave. It watches the socket and not the response, because the response to a
 * pipelined request that waits for its turn never hears of the end of its connection; and it keeps one listener a
 * socket, however many requests that has.
 */
export function watchClient(socket: Socket): ClientWatch {
  const controller = new AbortController()
  if (socket.destroyed) {
    controller.abort(new ClientGoneError())
    return { signal: controller.signal, release: () => {} }
  }
  const controllers = controllersOf(socket)
  controllers.add(controller)
  return { signal: controller.signal, release: () => controllers.delete(controller) }
}

function controllersOf(socket: Socket): Set<AbortController> {
  const known = watched.get(socket)
  if (known !== undefined) return known
  const controllers = new Set<AbortController>()
  watched.set(socket, controllers)
  socket.once('close', () => {
    for (const controller of controllers) controller.abort(new ClientGoneError())
    controllers.clear()
  })
  return controllers
}
