/** Answers peers about packages: whether they are here, their narinfos, their objects. */
import {
  delimit,
  HAVE_ANSWER,
  HAVE_REQUEST,
  type HavePackage,
  MAX_HAVE_MESSAGE,
  MAX_NARINFO_REQUEST,
  MAX_TRANSFERS_PER_PEER,
  MAX_WANT_MESSAGE,
  NARINFO,
  NARINFOS_REQUEST,
  type NarinfosRequest,
  protocolId,
  WANT,
  type Want,
} from '../../../protocol/index.ts'
import { ObjectNotFoundError } from '../../git/object-errors.ts'
import { oidToBytes } from '../../git/oid.ts'
import { nix32Decode } from '../../nix/base32.ts'
import type { RemotePackage } from '../../store/api.ts'
import type { Throttle } from '../../util/throttle.ts'
import { unpackHashes, unpackOids } from '../hashes.ts'
import { answering, answeringByTransfer, type ExchangeContext } from '../streams/exchange.ts'
import { MAX_STREAMS, MAX_STREAMS_PER_PEER, MAX_TRANSFERS } from '../streams/limits.ts'
import { Refuse } from '../streams/refusal.ts'
import { Slots } from '../streams/slots.ts'
import type { Swarm } from '../swarm/swarm.ts'
import type { ServedRepository } from './repository.ts'
import { WantScope } from './scope.ts'

type Options = { signal: AbortSignal }

/** Which packages peers may be told of and get. */
export interface SharedSet {
  /** Whether that is all of them. */
  readonly all: boolean
  /** Whether a package (hash part) is among them. */
  shares(hash: string): boolean
}

export interface PackageServiceComponents {
  readonly repository: ServedRepository
  readonly shared: SharedSet
  readonly context: ExchangeContext
  /** Limits what goes out, of all transfers together. */
  readonly upload: Throttle
}

export class PackageService {
  readonly #components: PackageServiceComponents
  readonly #scope: WantScope

  constructor(components: PackageServiceComponents) {
    this.#components = components
    this.#scope = new WantScope(components.repository)
  }

  /** Registers the protocols. */
  register(swarm: Swarm, network: string): void {
    const { context, upload: limit } = this.#components
    const questions = new Slots({ perPeer: MAX_STREAMS_PER_PEER, overall: MAX_STREAMS })
    const transfers = new Slots({ perPeer: MAX_TRANSFERS_PER_PEER, overall: MAX_TRANSFERS })
    swarm.handle(
      protocolId(network, 'have'),
      2 * MAX_STREAMS_PER_PEER,
      answering(
        context,
        { request: HAVE_REQUEST, maxRequest: MAX_HAVE_MESSAGE, slots: questions },
        HAVE_ANSWER,
        (refusal) => ({ packages: [], refusal }),
        ({ hashes }, peer) => ({ packages: this.#have(hashes, peer) }),
      ),
    )
    swarm.handle(
      protocolId(network, 'narinfos'),
      2 * MAX_TRANSFERS_PER_PEER,
      answeringByTransfer(
        context,
        { request: NARINFOS_REQUEST, maxRequest: MAX_NARINFO_REQUEST, slots: transfers, limit },
        (request, _, options) => this.#narinfos(request, options),
      ),
    )
    swarm.handle(
      protocolId(network, 'pack'),
      2 * MAX_TRANSFERS_PER_PEER,
      answeringByTransfer(
        context,
        { request: WANT, maxRequest: MAX_WANT_MESSAGE, slots: transfers, limit },
        (want, peer, options) => this.#pack(want, peer, options),
      ),
    )
  }

  #have(hashes: Uint8Array, peer: string): HavePackage[] {
    const found: HavePackage[] = []
    for (const { hash, narinfo, commit } of this.#shared(hashes)) {
      if (!this.#components.shared.all) {
        this.#scope.tell(peer, narinfo)
        if (commit !== undefined) this.#scope.tell(peer, commit)
      }
      found.push({
        hash: nix32Decode(hash),
        narinfo: oidToBytes(narinfo),
        ...(commit !== undefined && { commit: oidToBytes(commit) }),
      })
    }
    return found
  }

  async *#narinfos({ hashes }: NarinfosRequest, options: Options): AsyncGenerator<Uint8Array> {
    for (const { hash, narinfo } of this.#shared(hashes)) {
      const blob = await this.#components.repository.narinfo(narinfo, options)
      yield delimit(NARINFO.encode({ hash: nix32Decode(hash), blob }))
    }
  }

  async *#pack(want: Want, peer: string, options: Options): AsyncGenerator<Uint8Array> {
    const { repository, shared } = this.#components
    const wants = unpackOids(want.wants)
    if (!shared.all && !(await this.#allows(peer, wants, options))) throw notFound()
    const request = { wants, haves: unpackOids(want.haves), omitBlobs: want.omitBlobs }
    try {
      yield* repository.pack(request, { ...options, reuse: true })
    } catch (error) {
      throw error instanceof ObjectNotFoundError ? notFound() : error
    }
  }

  async #allows(peer: string, wants: readonly string[], options: Options): Promise<boolean> {
    try {
      return await this.#scope.allows(peer, wants, options)
    } catch (error) {
      if (error instanceof ObjectNotFoundError) return false
      throw error
    }
  }

  #shared(hashes: Uint8Array): RemotePackage[] {
    const { repository, shared } = this.#components
    return unpackHashes(hashes).flatMap((hash) =>
      shared.shares(hash) ? (repository.announced(hash) ?? []) : [],
    )
  }
}

/** The same for what is not here and what is not for this peer. */
function notFound(): Refuse {
  return new Refuse('NOT_FOUND', 'not everything that is wanted is here')
}
