/**
 * Peers tell each other whom else they are connected to, so that one address is enough to join. What they tell are hints:
 * only a handshake proves that a peer is where it is said to be.
 */
import { multiaddr } from '@multiformats/multiaddr'
import {
  MAX_PEER_RECORDS,
  MAX_PEERS_MESSAGE,
  PEERS_ANSWER,
  PEERS_REQUEST,
  type PeerRecord,
  type PeersAnswer,
  protocolId,
} from '../../../protocol/index.ts'
import { parsePeerAddress } from '../address.ts'
import type { PeerBook } from '../book/book.ts'
import { peerIdBytes, peerIdText } from '../keys.ts'
import { answering, ask, type ExchangeContext } from '../streams/exchange.ts'
import { MAX_STREAMS } from '../streams/limits.ts'
import { Slots } from '../streams/slots.ts'
import type { Swarm } from '../swarm/swarm.ts'

/** Streams that one peer may have open for this at once: it asks once, and again after a while. */
const MAX_STREAMS_PER_PEER = 2
/** Addresses at which a listener is not, or only from the machine itself. */
const LOOPBACK = /^\/(ip4\/127\.|ip6\/::1\/|dns[46]?\/localhost\/)/
const UNUSABLE = /^\/(ip4\/0\.|ip4\/169\.254\.|ip6\/::\/|ip6\/fe80:)/i

export interface PeerExchangeComponents {
  readonly swarm: Swarm
  readonly network: string
  readonly book: PeerBook
  readonly context: ExchangeContext
  /** Whether a peer may be connected to. */
  readonly admits: (id: string) => boolean
}

export class PeerExchange {
  readonly #components: PeerExchangeComponents

  constructor(components: PeerExchangeComponents) {
    this.#components = components
    const { swarm, network, context } = components
    const slots = new Slots({ perPeer: MAX_STREAMS_PER_PEER, overall: MAX_STREAMS })
    swarm.handle(
      protocolId(network, 'peers'),
      MAX_STREAMS_PER_PEER,
      answering(
        context,
        { request: PEERS_REQUEST, maxRequest: 64, slots },
        PEERS_ANSWER,
        (refusal) => ({ peers: [], refusal }),
        ({ limit }, peer) => this.#answer(peer, limit || MAX_PEER_RECORDS),
      ),
    )
  }

  /** Asks a peer whom it knows, and notes them in the book. @throws what `ask` throws */
  async learnFrom(peer: string): Promise<void> {
    const { context, network, book, swarm, admits } = this.#components
    const { peers } = await ask(
      context,
      peer,
      {
        protocol: protocolId(network, 'peers'),
        request: PEERS_REQUEST,
        answer: PEERS_ANSWER,
        maxAnswer: MAX_PEERS_MESSAGE,
      },
      { limit: 0 },
      { signal: context.stopping },
    )
    const near = book.get(peer)?.addresses.some(isLoopback) ?? false
    for (const record of peers) {
      const told = understand(record)
      if (told === undefined || told.id === swarm.id || !admits(told.id)) continue
      const addresses = usableAddresses(told.addresses, near)
      if (addresses.length > 0) book.learn(told.id, addresses)
    }
  }

  /** Peers that are connected, in random order, so that over time everybody is told of. */
  #answer(asker: string, limit: number): PeersAnswer {
    const { swarm, book } = this.#components
    const known: PeerRecord[] = []
    const others = [...swarm.members].filter((id) => id !== asker)
    while (known.length < Math.min(limit, MAX_PEER_RECORDS) && others.length > 0) {
      const [id] = others.splice(Math.floor(Math.random() * others.length), 1)
      const addresses = book.get(id!)?.addresses ?? []
      if (addresses.length === 0) continue
      known.push({
        peer: peerIdBytes(id!),
        addresses: addresses.map((address) => multiaddr(address).bytes),
      })
    }
    return { peers: known }
  }
}

/** Whether an address is one of this machine, whoever names it. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address)
}

/** Those of the addresses that are worth a dial. @param near whether they come from a node of this machine */
export function usableAddresses(addresses: readonly string[], near: boolean): string[] {
  return addresses.filter((address) => {
    if (UNUSABLE.test(address) || (!near && isLoopback(address))) return false
    try {
      parsePeerAddress(address)
      return true
    } catch {
      return false
    }
  })
}

/** A record's peer id and addresses as text; `undefined` when it is not one. */
function understand({ peer, addresses }: PeerRecord): { id: string; addresses: string[] } | undefined {
  try {
    return { id: peerIdText(peer), addresses: addresses.map((bytes) => multiaddr(bytes).toString()) }
  } catch {
    return undefined
  }
}
