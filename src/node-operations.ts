import type { Operations } from './http/control/api.ts'
import type { AddPeerRequest, PeerOperations } from './http/control/peer-api.ts'
import type { PushRequest, SyncOperations, SyncOptions, SyncRequest } from './http/control/sync-api.ts'
import { type OperationsComponents, StoreOperations } from './operations.ts'
import type { AbortOptions } from './util/lifecycle.ts'

export interface NodeOperationsComponents extends OperationsComponents {
  readonly sync: () => Promise<SyncOperations>
  readonly peers: () => Promise<PeerOperations>
}

/** Everything that can be asked of a node; behind its control socket, or used by the command itself when no node runs. */
export class NodeOperations extends StoreOperations implements Operations {
  readonly #sync: () => Promise<SyncOperations>
  readonly #peers: () => Promise<PeerOperations>

  constructor(components: NodeOperationsComponents) {
    super(components)
    this.#sync = components.sync
    this.#peers = components.peers
  }

  async sync(request: SyncRequest, options?: SyncOptions) {
    return (await this.#sync()).sync(request, options)
  }

  async push(request: PushRequest, options?: SyncOptions) {
    return (await this.#sync()).push(request, options)
  }

  async checkRemotes(remotes: readonly string[], options?: AbortOptions) {
    return (await this.#sync()).checkRemotes(remotes, options)
  }

  async sources() {
    return (await this.#sync()).sources()
  }

  async peers() {
    return (await this.#peers()).peers()
  }

  async addPeer(request: AddPeerRequest) {
    return (await this.#peers()).addPeer(request)
  }

  async removePeer(reference: string) {
    return (await this.#peers()).removePeer(reference)
  }

  async pingPeer(reference: string, options?: AbortOptions) {
    return (await this.#peers()).pingPeer(reference, options)
  }

  async meshIdentity() {
    return (await this.#peers()).meshIdentity()
  }

  async invitation() {
    return (await this.#peers()).invitation()
  }

  async whoHas(target: string, options?: AbortOptions) {
    return (await this.#peers()).whoHas(target, options)
  }

  async trustedKeys() {
    return (await this.#peers()).trustedKeys()
  }

  async trust(key: string) {
    return (await this.#peers()).trust(key)
  }

  async distrust(nameOrKey: string) {
    return (await this.#peers()).distrust(nameOrKey)
  }
}
