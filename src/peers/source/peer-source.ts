import type { RepositorySource } from '../../store/api.ts'
import { AbortedError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { PeerUnreachableError } from '../errors.ts'
import { PeerSession, type PeerSessionInit } from './peer-session.ts'

export interface PeerSourceInit extends PeerSessionInit {
  /** Name for messages. */
  readonly name: string
  readonly isConnected: () => boolean
}

/** A peer as a repository elsewhere. */
export class PeerSource implements RepositorySource {
  readonly hasCheapSessions = true
  readonly #init: PeerSourceInit

  constructor(init: PeerSourceInit) {
    this.#init = init
  }

  get name(): string {
    return this.#init.name
  }

  /** Peer id. */
  get id(): string {
    return this.#init.peer
  }

  /** @throws PeerUnreachableError when the peer is not connected: connecting is the peer book's business */
  async open(options: AbortOptions = {}): Promise<PeerSession> {
    if (options.signal?.aborted) throw new AbortedError()
    if (!this.#init.isConnected()) {
      throw new PeerUnreachableError(`the peer ${this.#init.name} is not connected`)
    }
    return new PeerSession(this.#init)
  }
}
