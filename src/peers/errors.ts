import { GachixError } from '../util/errors.ts'

/** The file with the node's identity in the mesh cannot be read, holds no key, or cannot be written. */
export class IdentityError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PEER_IDENTITY', message, options)
  }
}

/** An address of a peer that is neither a multiaddr over TCP nor `HOST:PORT`. */
export class PeerAddressError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PEER_ADDRESS', message, options)
  }
}

/** The file with the known peers is damaged or cannot be written. */
export class PeerBookError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PEER_BOOK', message, options)
  }
}

/** No known peer has this name, id or address. */
export class UnknownPeerError extends GachixError {
  constructor(peer: string) {
    super('ERR_UNKNOWN_PEER', `no peer is known as ${peer}; gachix peer list names them`)
  }
}

/** A peer is not connected, refuses us, or the connection to it was lost. */
export class PeerUnreachableError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PEER_UNREACHABLE', message, options)
  }
}

/** A peer that says nothing, or too little, for too long. */
export class PeerStalledError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PEER_STALLED', message, options)
  }
}

/** A peer broke the protocol: sent what it may not, or more than it may. */
export class PeerProtocolError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PEER_PROTOCOL', message, options)
  }
}

/** A peer says that it cannot answer now, or not at all. */
export class PeerRefusedError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PEER_REFUSED', message, options)
  }
}

/** The pre-shared key of the mesh cannot be read or is none. */
export class PreSharedKeyError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PRE_SHARED_KEY', message, options)
  }
}
