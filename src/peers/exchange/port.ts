import type { PeerKey } from '../inventory/directory.ts'

/** What the mesh's logic needs of a network. It does nothing by itself: it is told of messages, connections and the time. */
export interface MeshPort {
  /** Gossips a signed head on the network's topic. */
  publish(signedHead: Uint8Array): void
  /**
   * Asks a peer on a stream of one of these protocols, dialling it if need be.
   *
   * @param done to be called once, later: with the answer, or `undefined` when none came within `REQUEST_TIMEOUT`
   */
  request(
    peer: PeerKey,
    protocol: 'heads' | 'inventory',
    message: Uint8Array,
    done: (answer: Uint8Array | undefined, now: number) => void,
  ): void
}
