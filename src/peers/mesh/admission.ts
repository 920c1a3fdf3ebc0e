import type { PeerBook } from '../book/book.ts'
import type { Admission } from '../swarm/gater.ts'

/** Who may connect: every node of the network, or only peers that the operator named. */
export type MeshPolicy = 'open' | 'allow-list'

/** Decides who is let in, by the mesh's policy and by what is known of a peer. */
export class MeshAdmission implements Admission {
  readonly #policy: MeshPolicy
  readonly #allow: ReadonlySet<string>
  readonly #book: PeerBook
  /** Dials to addresses of which it is not known who is there: whoever answers is meant. */
  #unmet = 0

  constructor(policy: MeshPolicy, allow: readonly string[], book: PeerBook) {
    this.#policy = policy
    this.#allow = new Set(allow)
    this.#book = book
  }

  /** Whether a peer is of interest at all. */
  admits(id: string): boolean {
    if (this.#book.isBanned(id)) return false
    if (this.#policy === 'open' || this.#allow.has(id)) return true
    const origin = this.#book.get(id)?.origin
    return origin === 'configured' || origin === 'added'
  }

  admitsInbound(id: string): boolean {
    return this.admits(id)
  }

  admitsOutbound(id: string): boolean {
    return this.admits(id) || (this.#unmet > 0 && !this.#book.isBanned(id))
  }

  /** Runs a dial to an address without a peer id. */
  async meeting<T>(dial: () => Promise<T>): Promise<T> {
    this.#unmet++
    try {
      return await dial()
    } finally {
      this.#unmet--
    }
  }
}
