/**
 * Which Git objects a peer may want when not everything is shared. Ids of trees and blobs are no secrets, and whoever knows
 * one could ask whether it is here. So a peer gets what the commits reach that it was told of, and nothing else.
 */
import { LRUCache } from 'lru-cache'
import type { Oid } from '../../git/oid.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { recent } from '../../util/recent.ts'
import type { ServedRepository } from './repository.ts'

/** Peers whose scope is remembered. */
const MAX_PEERS = 64
/** Commits and narinfos that one peer was told of and may want; what was told longest ago is forgotten, and has to be asked for again. */
const MAX_TOLD = 16_384

interface Scope {
  /** Commits and narinfos that the peer was told of. */
  readonly told: LRUCache<Oid, true>
  /** Commits that it has wanted since; single trees and blobs have to be theirs. */
  readonly wanted: LRUCache<Oid, true>
}

export class WantScope {
  readonly #repository: Pick<ServedRepository, 'reaches'>
  readonly #scopes = new LRUCache<string, Scope>({ max: MAX_PEERS })

  constructor(repository: Pick<ServedRepository, 'reaches'>) {
    this.#repository = repository
  }

  /** Notes that a peer was told of an object. */
  tell(peer: string, oid: Oid): void {
    this.#scope(peer).told.set(oid, true)
  }

  /** Whether a peer may have all of these objects. */
  async allows(peer: string, wants: readonly Oid[], options: AbortOptions = {}): Promise<boolean> {
    const { told, wanted } = this.#scope(peer)
    const others = wants.filter((oid) => !told.has(oid))
    if (others.length > 0) {
      const commits = [...wanted.keys()]
      if (commits.length === 0 || !(await this.#repository.reaches(commits, others, options))) return false
    }
    for (const oid of wants) if (told.has(oid)) wanted.set(oid, true)
    return true
  }

  #scope(peer: string): Scope {
    let scope = this.#scopes.get(peer)
    if (scope === undefined) {
      scope = { told: recent(MAX_TOLD), wanted: recent(MAX_TOLD) }
      this.#scopes.set(peer, scope)
    }
    return scope
  }
}
