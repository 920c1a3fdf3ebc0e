import { LRUCache } from 'lru-cache'
import { TokenBucket } from '../../util/token-bucket.ts'
import {
  MAX_PACES,
  REFUSAL_BURST,
  REFUSALS_PER_SECOND,
  REQUEST_BURST,
  REQUESTS_PER_SECOND,
} from './limits.ts'

export interface SlotsInit {
  /** Requests of one peer that are answered at once. */
  readonly perPeer: number
  /** Requests that are answered at once. */
  readonly overall: number
}

/** What comes of asking for a slot: it is taken; there is none now; or the peer goes on asking although it was told so. */
export type SlotAnswer = 'taken' | 'busy' | 'flood'

/** Bounds how many requests are answered at once, and how many a peer may make over time. */
export class Slots {
  readonly #init: SlotsInit
  readonly #taken = new Map<string, number>()
  readonly #requests = new LRUCache<string, TokenBucket>({ max: MAX_PACES })
  readonly #refusals = new LRUCache<string, TokenBucket>({ max: MAX_PACES })
  #overall = 0

  constructor(init: SlotsInit) {
    this.#init = init
  }

  take(peer: string): SlotAnswer {
    const now = performance.now()
    const taken = this.#taken.get(peer) ?? 0
    const pace = bucketOf(this.#requests, peer, REQUESTS_PER_SECOND, REQUEST_BURST)
    if (taken < this.#init.perPeer && this.#overall < this.#init.overall && pace.take(now)) {
      this.#taken.set(peer, taken + 1)
      this.#overall++
      return 'taken'
    }
    const patience = bucketOf(this.#refusals, peer, REFUSALS_PER_SECOND, REFUSAL_BURST)
    return patience.take(now) ? 'busy' : 'flood'
  }

  /** Gives a taken slot back. */
  release(peer: string): void {
    const taken = this.#taken.get(peer)! - 1
    if (taken > 0) this.#taken.set(peer, taken)
    else this.#taken.delete(peer)
    this.#overall--
  }
}

function bucketOf(
  buckets: LRUCache<string, TokenBucket>,
  peer: string,
  rate: number,
  burst: number,
): TokenBucket {
  let bucket = buckets.get(peer)
  if (bucket === undefined) {
    bucket = new TokenBucket(burst, rate, performance.now())
    buckets.set(peer, bucket)
  }
  return bucket
}
