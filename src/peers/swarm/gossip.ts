/**
 * Telling everybody: one topic, signed messages, no relaying of what is not valid.
 *
 * gossipsub has no history: who was not connected does not hear of it. Heads are exchanged on connecting as well.
 */
import {
  type GossipSub,
  type GossipSubComponents,
  gossipsub,
  type Message,
  StrictSign,
  TopicValidatorResult,
} from '@libp2p/gossipsub'
import type { PeerId } from '@libp2p/interface'
import { LRUCache } from 'lru-cache'
import { TokenBucket } from '../../util/token-bucket.ts'
import {
  GOSSIP_BURST,
  GOSSIP_PER_SECOND,
  MAX_CONNECTIONS_PER_ADDRESS,
  MAX_GOSSIP_AUTHORS,
  MAX_GOSSIP_BACKLOG,
  MAX_GOSSIP_SIZE,
} from './limits.ts'

/** What is to be done with a message: take it and pass it on, neither, or neither and blame whoever passed it to us. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject'

export interface GossipHandlers {
  /** Judges and takes a message that a neighbour passed on. Called once for each, however many neighbours pass it on. */
  message(neighbour: string, data: Uint8Array): GossipVerdict
  /** A neighbour passed on what no honest node does. */
  misconduct(neighbour: string, offence: 'protocol' | 'flood', details: string): void
  /** Points against a peer; 0 for one that behaves. */
  penalty(id: string): number
}

/** The factory of the gossip service, for libp2p's `services`. */
export function gossip(
  topic: string,
  penalty: GossipHandlers['penalty'],
): (components: GossipSubComponents) => GossipSub {
  return gossipsub({
    globalSignaturePolicy: StrictSign,
    fallbackToFloodsub: false,
    emitSelf: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    allowedTopics: [topic],
    maxInboundDataLength: MAX_GOSSIP_SIZE,
    maxOutboundBufferSize: MAX_GOSSIP_BACKLOG,
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    decodeRpcLimits: {
      maxSubscriptions: 16,
      maxMessages: 64,
      maxIhaveMessageIDs: 1024,
      maxIwantMessageIDs: 1024,
      maxIdontwantMessageIDs: 1024,
      maxControlMessages: 256,
      maxPeerInfos: 0,
    },
    scoreParams: {
      // libp2p's own threshold of 10 silences the nodes of one office.
      IPColocationFactorThreshold: MAX_CONNECTIONS_PER_ADDRESS,
      appSpecificScore: (id) => -penalty(id) / 10,
      retainScore: 10 * 60 * 1000,
      topics: {
        [topic]: {
          topicWeight: 1,
          // Packages are added now and then: a quiet neighbour is a good one.
          meshMessageDeliveriesWeight: 0,
          meshFailurePenaltyWeight: 0,
          timeInMeshWeight: 0.01,
          firstMessageDeliveriesWeight: 0.1,
          firstMessageDeliveriesCap: 100,
          invalidMessageDeliveriesWeight: -10,
          invalidMessageDeliveriesDecay: 0.9,
        },
      } as never,
    },
  })
}

/** Joins the topic and hands every message to the handlers. */
export function joinTopic(service: GossipSub, topic: string, handlers: GossipHandlers): void {
  const paces = new LRUCache<string, TokenBucket>({ max: MAX_GOSSIP_AUTHORS })
  service.topicValidators.set(topic, (neighbour: PeerId, message: Message) => {
    if (message.type !== 'signed') return TopicValidatorResult.Reject
    const author = message.from.toString()
    let pace = paces.get(author)
    if (pace === undefined) {
      pace = new TokenBucket(GOSSIP_BURST, GOSSIP_PER_SECOND, performance.now())
      paces.set(author, pace)
    }
    if (!pace.take(performance.now())) {
      // The author is to blame; a neighbour that passes it on may only have more patience.
      if (neighbour.equals(message.from)) handlers.misconduct(author, 'flood', 'gossip')
      return TopicValidatorResult.Ignore
    }
    const verdict = handlers.message(neighbour.toString(), message.data)
    if (verdict === 'reject') handlers.misconduct(neighbour.toString(), 'protocol', 'invalid gossip')
    return VERDICTS[verdict]
  })
  service.subscribe(topic)
}

const VERDICTS: Readonly<Record<GossipVerdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}
