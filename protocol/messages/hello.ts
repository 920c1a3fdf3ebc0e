/** The first exchange on a new connection: the dialler sends a hello on a stream of its own, the other side answers with its own. */
import { MessageError } from '../errors.ts'
import { checkNetwork } from '../ids.ts'
import {
  MAX_AGENT_LENGTH,
  MAX_FEATURE_LENGTH,
  MAX_FEATURES,
  MAX_HEAD_BYTES,
  MAX_HELLO_BYTES,
  MAX_NETWORK_LENGTH,
} from '../limits.ts'
import { bytes, text, texts, uint } from '../wire/kinds.ts'
import { type MessageOf, messageCodec } from '../wire/message.ts'

/** Minor version of the contract that is written down here. */
export const MINOR_VERSION = 1

/**
 * - `minor`, `oldestMinor`: the newest and the oldest minor version of the contract that the sender speaks. Both use the lower
 *   of their newest ones; the connection ends when that is below the other's oldest.
 * - `features`: names of optional abilities, sorted, each once. Unknown ones mean nothing.
 * - `agent`: name and version of the program, for people.
 * - `head`: the sender's signed head; empty when it shares nothing.
 * - `yours`: the newest signed head *of the receiver* that the sender knows. It may be newer than what the receiver remembers (it
 *   was restored from a backup, or lost its log): then it must begin a newer epoch.
 */
export type Hello = MessageOf<typeof SHAPE>

const SHAPE = {
  network: [1, text(MAX_NETWORK_LENGTH)],
  minor: [2, uint(1_000_000)],
  oldestMinor: [3, uint(1_000_000)],
  features: [4, texts(MAX_FEATURES, MAX_FEATURE_LENGTH)],
  agent: [5, text(MAX_AGENT_LENGTH)],
  head: [6, bytes(MAX_HEAD_BYTES)],
  yours: [7, bytes(MAX_HEAD_BYTES)],
} as const

export const HELLO = messageCodec('hello', MAX_HELLO_BYTES, SHAPE, (hello) => {
  checkNetwork(hello.network)
  if (hello.minor === 0 || hello.oldestMinor === 0)
    throw new MessageError('hello.minor', 'versions begin at 1')
  if (hello.oldestMinor > hello.minor) throw new MessageError('hello.oldestMinor', 'is above minor')
  for (let i = 1; i < hello.features.length; i++) {
    if (hello.features[i - 1]! >= hello.features[i]!) {
      throw new MessageError('hello.features', 'are not sorted, or one is there twice')
    }
  }
})

/** The minor version that two nodes use with each other; `undefined` when there is none. */
export function commonMinor(
  a: Pick<Hello, 'minor' | 'oldestMinor'>,
  b: Pick<Hello, 'minor' | 'oldestMinor'>,
): number | undefined {
  const minor = Math.min(a.minor, b.minor)
  return minor >= Math.max(a.oldestMinor, b.oldestMinor) ? minor : undefined
}
