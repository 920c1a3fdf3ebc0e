import { MAX_HEADS_MESSAGE, MAX_INVENTORY_MESSAGE, protocolId } from '../../../protocol/index.ts'
import { PeerProtocolError } from '../errors.ts'
import { answering, type ExchangeContext, rawCodec } from '../streams/exchange.ts'
import { MAX_STREAMS, MAX_STREAMS_PER_PEER } from '../streams/limits.ts'
import { Slots } from '../streams/slots.ts'
import type { Swarm } from '../swarm/swarm.ts'

/** Answers encoded questions with encoded answers; throws `MessageError` for what is no question. */
export type RawAnswer = (peer: string, question: Uint8Array) => Uint8Array

const RAW = rawCodec('question')

/** Bytes of the longest question, which is as long as the longest answer, by protocol. */
export const INVENTORY_PROTOCOLS = { heads: MAX_HEADS_MESSAGE, inventory: MAX_INVENTORY_MESSAGE } as const

/** Registers the protocols for questions about who has what: heads, and the log, snapshot and digest of our own inventory. */
export function serveInventory(
  swarm: Swarm,
  network: string,
  context: ExchangeContext,
  answers: Readonly<Partial<Record<keyof typeof INVENTORY_PROTOCOLS, RawAnswer>>>,
): void {
  for (const protocol of ['heads', 'inventory'] as const) {
    const answer = answers[protocol]
    if (answer === undefined) continue
    const slots = new Slots({ perPeer: MAX_STREAMS_PER_PEER, overall: MAX_STREAMS })
    swarm.handle(
      protocolId(network, protocol),
      2 * MAX_STREAMS_PER_PEER,
      answering(
        context,
        { request: RAW, maxRequest: INVENTORY_PROTOCOLS[protocol], slots },
        RAW,
        // The stream is reset: a refusal could not say what state the inventory is in.
        ({ reason }) => {
          throw new PeerProtocolError(reason)
        },
        (question, peer) => answer(peer, question),
      ),
    )
  }
}
