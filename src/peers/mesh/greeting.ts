/** The first exchange with a peer: versions, and the newest heads that both sides know of each other. */
import {
  commonMinor,
  HELLO,
  type Hello,
  MAX_HELLO_BYTES,
  MINOR_VERSION,
  protocolId,
} from '../../../protocol/index.ts'
import { VERSION } from '../../util/version.ts'
import { PeerProtocolError } from '../errors.ts'
import type { ExchangeContext } from '../streams/exchange.ts'
import { answering, ask } from '../streams/exchange.ts'
import { MAX_STREAMS } from '../streams/limits.ts'
import { Refuse } from '../streams/refusal.ts'
import { Slots } from '../streams/slots.ts'
import type { Swarm } from '../swarm/swarm.ts'

/** Milliseconds that the side which was called waits for a hello before it sends its own: two dials may have crossed. */
const PATIENCE = 1000

export interface GreetingComponents {
  readonly swarm: Swarm
  readonly network: string
  readonly context: ExchangeContext
  /** What a hello to a peer carries of heads. */
  readonly heads: (peer: string) => Pick<Hello, 'head' | 'yours'>
  /** A peer's hello has come. */
  readonly greeted: (peer: string, hello: Hello) => void
}

export class Greeting {
  readonly #components: GreetingComponents
  readonly #greeted = new Set<string>()
  readonly #timers = new Map<string, NodeJS.Timeout>()

  constructor(components: GreetingComponents) {
    this.#components = components
    const { swarm, network, context } = components
    const slots = new Slots({ perPeer: 2, overall: MAX_STREAMS })
    swarm.handle(
      protocolId(network, 'hello'),
      2,
      answering(
        context,
        { request: HELLO, maxRequest: MAX_HELLO_BYTES, slots },
        HELLO,
        // A hello has no refusal: the stream is reset.
        ({ reason }) => {
          throw new PeerProtocolError(reason)
        },
        (hello, peer) => {
          if (!this.#understands(hello)) throw new Refuse('BAD_REQUEST', 'no common version')
          this.#take(peer, hello)
          return this.#hello(peer)
        },
      ),
    )
  }

  /** A peer is connected. @param dialled whether we called it */
  connected(peer: string, dialled: boolean): void {
    const greet = () => {
      this.#timers.delete(peer)
      void this.#greet(peer)
    }
    clearTimeout(this.#timers.get(peer))
    this.#timers.set(peer, setTimeout(greet, dialled ? 0 : PATIENCE).unref())
  }

  disconnected(peer: string): void {
    this.#greeted.delete(peer)
    clearTimeout(this.#timers.get(peer))
    this.#timers.delete(peer)
  }

  async #greet(peer: string): Promise<void> {
    const { context, network, swarm } = this.#components
    if (this.#greeted.has(peer) || !swarm.members.has(peer)) return
    try {
      const hello = await ask(
        context,
        peer,
        {
          protocol: protocolId(network, 'hello'),
          request: HELLO,
          answer: HELLO,
          maxAnswer: MAX_HELLO_BYTES,
        },
        this.#hello(peer),
        { signal: context.stopping },
      )
      if (this.#understands(hello)) this.#take(peer, hello)
      else await swarm.disconnect(peer)
    } catch (err) {
      context.logger.debug({ err, peer }, 'a peer does not greet')
      // A peer that is here but cannot say so is of no use, and is tried again after a while.
      await swarm.disconnect(peer)
    }
  }

  #hello(peer: string): Hello {
    return {
      network: this.#components.network,
      minor: MINOR_VERSION,
      oldestMinor: MINOR_VERSION,
      features: [],
      agent: `gachix/${VERSION}`,
      ...this.#components.heads(peer),
    }
  }

  #understands(hello: Hello): boolean {
    const ours = { minor: MINOR_VERSION, oldestMinor: MINOR_VERSION }
    return hello.network === this.#components.network && commonMinor(ours, hello) !== undefined
  }

  #take(peer: string, hello: Hello): void {
    this.#greeted.add(peer)
    this.#components.greeted(peer, hello)
  }
}
