import { Socket } from 'node:net'
import type { MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface'
import { type TCPComponents, tcp } from '@libp2p/tcp'
import { isGivenUp, releaseGivenUp } from '../../util/release.ts'

/** TCP, with sockets that send what belongs together at once. */
export function transport(): (components: TCPComponents) => Transport {
  const create = tcp()
  return (components) => {
    const made = create(components)
    const dial = made.dial.bind(made)
    const createListener = made.createListener.bind(made)
    made.dial = (address, options) => dial(address, { ...options, upgrader: corking(options.upgrader) })
    made.createListener = (options) => createListener({ ...options, upgrader: corking(options.upgrader) })
    return made
  }
}

function corking(upgrader: Upgrader): Upgrader {
  return {
    createInboundAbortSignal: (signal) => upgrader.createInboundAbortSignal(signal),
    getStreamMuxers: () => upgrader.getStreamMuxers(),
    getConnectionEncrypters: () => upgrader.getConnectionEncrypters(),
    upgradeInbound: (connection: MultiaddrConnection, options: never) =>
      upgrader.upgradeInbound(corked(connection), options),
    upgradeOutbound: (connection: MultiaddrConnection, options: never) =>
      upgrader.upgradeOutbound(corked(connection), options),
  }
}

/**
 * Has the socket of a connection take what is sent in one turn with one system call. libp2p writes the length of an encrypted message, its
 * text and its tag one after the other, and each would be a call, and without delay (`TCP_NODELAY`) a segment, of its own: 60 of them
 * for a megabyte. And gives back the memory of what was sent, when it was given up.
 */
function corked(connection: MultiaddrConnection): MultiaddrConnection {
  if (!hasSocket(connection)) return connection
  const { socket } = connection
  let isCorked = false
  connection.sendData = (data) => {
    if (!isCorked) {
      isCorked = true
      socket.cork()
      process.nextTick(() => {
        isCorked = false
        socket.uncork()
      })
    }
    let sentBytes = 0
    let canSendMore = true
    for (const part of data) {
      canSendMore = isGivenUp(part) ? socket.write(part, () => releaseGivenUp(part)) : socket.write(part)
      sentBytes += part.byteLength
      if (!canSendMore) break
    }
    return { sentBytes, canSendMore }
  }
  return connection
}

/** A connection as @libp2p/tcp makes it. These parts are not in its interface; without them everything works as before. */
type SocketConnection = MultiaddrConnection & {
  readonly socket: Socket
  sendData(data: Iterable<Uint8Array>): { sentBytes: number; canSendMore: boolean }
}

function hasSocket(connection: MultiaddrConnection): connection is SocketConnection {
  return (
    'socket' in connection &&
    connection.socket instanceof Socket &&
    'sendData' in connection &&
    typeof connection.sendData === 'function'
  )
}
