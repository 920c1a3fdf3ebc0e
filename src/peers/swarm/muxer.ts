import type { MessageStream, StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { MAX_EARLY_STREAMS, MAX_STREAMS_PER_CONNECTION, STREAM_WINDOW } from './limits.ts'

/** yamux with our limits, for a connection that may end at any moment. */
export function muxer(): () => StreamMuxerFactory {
  const create = yamux({
    maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
    maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
    maxEarlyStreams: MAX_EARLY_STREAMS,
    streamOptions: { maxStreamWindowSize: STREAM_WINDOW },
  })
  return () => {
    const factory = create()
    return {
      protocol: factory.protocol,
      createStreamMuxer: (connection) => factory.createStreamMuxer(silentWhenClosed(connection)),
    }
  }
}

/**
 * Drops what is sent when the connection has ended, instead of throwing. yamux announces a new stream in a microtask of its own: when the
 * connection ends in between, nobody is there to catch what that throws, and the process would end. Whoever uses the stream is told by its
 * closing, which follows.
 */
function silentWhenClosed(connection: MessageStream): MessageStream {
  const send = connection.send.bind(connection)
  connection.send = (data) => connection.status === 'open' && send(data)
  return connection
}
