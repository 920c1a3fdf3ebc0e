/**
 * Drives the logic of inventories (`../exchange/`) with real time, real gossip and real streams.
 */
import type { Hello } from '../../../protocol/index.ts'
import { protocolId } from '../../../protocol/index.ts'
import type { Logger } from '../../util/log.ts'
import { headSigner, headVerifier } from '../exchange/head-signature.ts'
import { InventoryExchange } from '../exchange/inventory-exchange.ts'
import type { MeshPort } from '../exchange/port.ts'
import { unpackHashes } from '../hashes.ts'
import type { Identity } from '../identity.ts'
import type { Directory } from '../inventory/directory.ts'
import { idOf, keyOf, peerIdBytes } from '../keys.ts'
import { INVENTORY_PROTOCOLS, serveInventory } from '../serve/inventory.ts'
import { ask, type ExchangeContext, rawCodec } from '../streams/exchange.ts'
import type { GossipVerdict } from '../swarm/gossip.ts'
import type { Swarm } from '../swarm/swarm.ts'
import type { SharedPackages } from './shared-packages.ts'

/** Milliseconds that the next step is put off at most, whatever the logic says: clocks jump. */
const LONGEST_WAIT = 60_000
/** Bytes of an Ed25519 seed, which is how a libp2p private key begins. */
const SEED_BYTES = 32

const RAW = rawCodec('answer')

export interface InventoriesComponents {
  readonly identity: Identity
  readonly network: string
  readonly shared: SharedPackages
  readonly swarm: Swarm
  readonly context: ExchangeContext
  readonly logger: Logger
  readonly admits: (id: string) => boolean
  /** Is told hash parts that a peer has and this node perhaps not. */
  readonly learnt: (peer: string, hashes: readonly string[]) => void
}

export class Inventories {
  readonly #components: InventoriesComponents
  readonly #exchange: InventoryExchange
  #timer: NodeJS.Timeout | undefined
  #running = false

  constructor(components: InventoriesComponents) {
    this.#components = components
    const { identity, network, shared, admits, learnt, swarm, context } = components
    this.#exchange = new InventoryExchange(
      {
        self: peerIdBytes(identity.id),
        network,
        log: shared.inventory.log,
        port: this.#port(),
        sign: headSigner(identity.privateKey.raw.subarray(0, SEED_BYTES)),
        verify: headVerifier(),
        random: Math.random,
        admits: (peer) => admits(idOf(peer)),
        learnt: (peer, hashes) => learnt(idOf(peer), hashes.flatMap(unpackHashes)),
        outrun: (epoch) => this.#outrun(epoch),
      },
      Date.now(),
    )
    shared.onChanged(() => {
      this.#exchange.changed(Date.now())
      this.#schedule()
    })
    serveInventory(swarm, network, context, {
      heads: (peer, question) => this.#exchange.answerHeads(keyOf(peer), question, Date.now()),
      inventory: (peer, question) => this.#exchange.answerInventory(keyOf(peer), question, Date.now()),
    })
  }

  get directory(): Directory {
    return this.#exchange.directory
  }

  start(): void {
    this.#running = true
    this.#schedule()
  }

  stop(): void {
    this.#running = false
    clearTimeout(this.#timer)
  }

  /** What a hello to a peer carries of heads. */
  hello(peer: string): Pick<Hello, 'head' | 'yours'> {
    return this.#exchange.hello(keyOf(peer), Date.now())
  }

  connected(peer: string, hello: Pick<Hello, 'head' | 'yours'>): void {
    this.#exchange.connected(keyOf(peer), hello, Date.now())
    this.#schedule()
  }

  disconnected(peer: string): void {
    this.#exchange.disconnected(keyOf(peer), Date.now())
  }

  gossip(neighbour: string, data: Uint8Array): GossipVerdict {
    const verdict = this.#exchange.gossip(data, keyOf(neighbour), Date.now())
    this.#schedule()
    return verdict
  }

  #port(): MeshPort {
    const { swarm, network, context, logger } = this.#components
    return {
      publish: (head) => {
        swarm.publish(head).catch((err: unknown) => logger.debug({ err }, 'a head could not be gossiped'))
      },
      request: (key, protocol, message, done) => {
        const peer = idOf(key)
        ask(
          context,
          peer,
          {
            protocol: protocolId(network, protocol),
            request: RAW,
            answer: RAW,
            maxAnswer: INVENTORY_PROTOCOLS[protocol],
          },
          message,
          { signal: context.stopping },
        )
          .catch((err: unknown) => {
            logger.debug({ err, peer }, 'a peer did not answer about inventories')
            return undefined
          })
          .then((answer) => {
            done(answer, Date.now())
            this.#schedule()
          })
          .catch((err: unknown) => logger.error({ err, peer }, 'an answer could not be taken in'))
      },
    }
  }

  /** Somebody remembers more of our log than we do: what is said from now on must count as newer. */
  #outrun(epoch: number): void {
    const { shared, logger } = this.#components
    shared.inventory
      .renew(Math.max(epoch, Date.now()))
      .then(() => {
        this.#exchange.renewed(Date.now())
        this.#schedule()
      })
      .catch((err: unknown) => logger.error({ err }, 'the inventory could not begin a new epoch'))
  }

  #schedule(): void {
    if (!this.#running) return
    clearTimeout(this.#timer)
    const wait = Math.min(LONGEST_WAIT, Math.max(0, this.#exchange.due - Date.now()))
    this.#timer = setTimeout(() => {
      this.#exchange.tick(Date.now())
      this.#schedule()
    }, wait)
    this.#timer.unref()
  }
}
