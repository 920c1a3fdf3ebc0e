/** What others can make the swarm hold, open and wait for. */

/** Connections in all, in both directions. */
export const MAX_CONNECTIONS = 256
/** Connections with one peer: two for dials that cross, and room for one that is being replaced. */
export const MAX_CONNECTIONS_PER_PEER = 4
/** Connections from one address: a whole office, or a host full of containers, is behind one. */
export const MAX_CONNECTIONS_PER_ADDRESS = 64
/** Connections a second from one address; libp2p's own 5 makes the nodes of one office fail that start together. */
export const INBOUND_PER_SECOND = 32
/** Connections whose handshakes are under way. */
export const MAX_PENDING_CONNECTIONS = 256
/** Of them, those from one address: whoever opens connections and says nothing must not hold the places of all. */
export const MAX_PENDING_PER_ADDRESS = 32
/** Milliseconds for the handshakes of a connection that comes in. */
export const UPGRADE_TIMEOUT = 5000
/** Milliseconds for reaching a peer, over all of its addresses. */
export const DIAL_TIMEOUT = 10_000
/** Milliseconds until a new connection's other side must have told its protocols. */
export const IDENTIFY_TIMEOUT = 5000
/** Milliseconds until it is settled which of several connections with one peer stays: more may be under way. */
export const DUPLICATE_SETTLING = 1000
/** Milliseconds from then until another one may be closed: the other side, which finds it out for itself, may be as much later. */
export const DUPLICATE_GRACE = 5000
/** Milliseconds between two looks whether what ran on such a connection has ended. */
export const DUPLICATE_TICK = 1000
/** Milliseconds that a connection is kept to one that speaks libp2p but is not of this mesh. */
export const STRANGER_TIME = 60_000
/** Streams of one connection that the other side may have open. */
export const MAX_STREAMS_PER_CONNECTION = 64
/** Streams whose protocol is still being negotiated. */
export const MAX_EARLY_STREAMS = 16
/** Bytes that one stream's sender may be ahead; windows that grow to yamux's 16 MiB overrun libp2p's read buffer of 4 MiB. */
export const STREAM_WINDOW = 1024 * 1024
/** Milliseconds between two checks that a connection is alive. */
export const PING_INTERVAL = 15_000
/** Milliseconds that such a check may take: it queues behind bulk data on a slow line. */
export const PING_TIMEOUT = 15_000
/** Bytes of one gossip message. */
export const MAX_GOSSIP_SIZE = 64 * 1024
/** Bytes of gossip that wait for one peer. */
export const MAX_GOSSIP_BACKLOG = 1024 * 1024
/** Gossip messages a second that one author may have checked, in the long run. */
export const GOSSIP_PER_SECOND = 2
/** Gossip messages that one author may have checked at once. */
export const GOSSIP_BURST = 40
/** Authors of gossip whose pace is remembered. */
export const MAX_GOSSIP_AUTHORS = 4096
