/** Who has a package: from what the directory knows, and where that is not enough by asking everybody who is connected. */
import {
  HAVE_ANSWER,
  HAVE_REQUEST,
  MAX_HAVE_HASHES,
  MAX_HAVE_MESSAGE,
  MAX_HAVE_PEERS,
  protocolId,
} from '../../../protocol/index.ts'
import { nix32Decode, nix32Encode } from '../../nix/base32.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { packHashes } from '../hashes.ts'
import type { Directory } from '../inventory/directory.ts'
import { idOf, keyOf } from '../keys.ts'
import { ask, type ExchangeContext } from '../streams/exchange.ts'
import type { Swarm } from '../swarm/swarm.ts'

/** Milliseconds that an answer may take when a client waits for it. */
const PATIENCE = 1000

export interface ProvidersComponents {
  readonly swarm: Swarm
  readonly network: string
  readonly directory: Directory
  readonly context: ExchangeContext
}

export class Providers {
  readonly #components: ProvidersComponents

  constructor(components: ProvidersComponents) {
    this.#components = components
  }

  /** Ids of peers that probably have a package (hash part), the likeliest first, connected or not. From memory. */
  known(hash: string): string[] {
    return this.#components.directory.providers(nix32Decode(hash), Date.now()).map(idOf)
  }

  /**
   * Asks connected peers, at most 16, which of these packages they have, and notes what they say. Takes a second at the most;
   * failures count as silence.
   */
  async inquire(hashes: readonly string[], options: AbortOptions = {}): Promise<void> {
    const { swarm, directory } = this.#components
    const now = Date.now()
    const open = hashes.filter((hash) => !directory.missing(nix32Decode(hash), now)).slice(0, MAX_HAVE_HASHES)
    if (open.length === 0) return
    const timeout = AbortSignal.timeout(PATIENCE)
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout])
    const peers = shuffled([...swarm.members]).slice(0, MAX_HAVE_PEERS)
    await Promise.all(peers.map((peer) => this.#ask(peer, open, signal).catch(() => {})))
    for (const hash of open) {
      if (this.known(hash).length === 0) directory.missed(nix32Decode(hash), Date.now())
    }
  }

  async #ask(peer: string, hashes: readonly string[], signal: AbortSignal): Promise<void> {
    const { context, network, directory } = this.#components
    const { packages } = await ask(
      context,
      peer,
      {
        protocol: protocolId(network, 'have'),
        request: HAVE_REQUEST,
        answer: HAVE_ANSWER,
        maxAnswer: MAX_HAVE_MESSAGE,
      },
      { hashes: packHashes(hashes) },
      { signal },
    )
    const has = new Set(packages.map(({ hash }) => nix32Encode(hash)))
    for (const hash of hashes) directory.told(keyOf(peer), nix32Decode(hash), has.has(hash), Date.now())
  }
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[items[i], items[j]] = [items[j]!, items[i]!]
  }
  return items
}
