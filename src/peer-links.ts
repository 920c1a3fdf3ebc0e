import type { FetchVerdict } from './peers/mesh/init.ts'
import type { PeerStatus } from './peers/mesh/status.ts'
import type { PeerSource } from './peers/source/peer-source.ts'
import type { RepositoryLink } from './sync/source/repository-link.ts'

/** What of the mesh is needed to fetch from peers. */
export interface PeerDirectory {
  peers(): readonly PeerStatus[]
  source(id: string): PeerSource
  /** Ids of peers that probably have a package (hash part). Answers from memory. */
  whoHas(hash: string): readonly string[]
  report(peer: string, hash: string, verdict: FetchVerdict, details?: string): void
}

/** The connected peers as sources: each keeps its record as long as the node runs. */
export class PeerLinks {
  readonly #mesh: PeerDirectory
  readonly #make: (source: PeerSource) => RepositoryLink
  readonly #links = new Map<string, RepositoryLink>()

  constructor(mesh: PeerDirectory, make: (source: PeerSource) => RepositoryLink) {
    this.#mesh = mesh
    this.#make = make
  }

  /** Those that are connected now. */
  current(): RepositoryLink[] {
    const links: RepositoryLink[] = []
    for (const { id, state } of this.#mesh.peers()) {
      if (id === undefined || state !== 'connected') continue
      let link = this.#links.get(id)
      if (link === undefined) {
        link = this.#make(this.#mesh.source(id))
        this.#links.set(id, link)
      }
      links.push(link)
    }
    return links
  }

  async close(): Promise<void> {
    await Promise.all([...this.#links.values()].map((link) => link.close()))
  }
}
