/**
 * Transfers whose memory is used again on its way: chunks by their source, writes once they are encrypted, what is encrypted once it is sent. Many at
 * once, both ways, of random bytes: whoever used something too early would send other bytes. (Transfers say the SHA-256 of their data;
 * here it is compared with what the source really gave.)
 */
import assert from 'node:assert/strict'
import { createHash, randomFillSync } from 'node:crypto'
import { describe, it } from 'node:test'
import { MAX_WANT_MESSAGE, protocolId, WANT } from '../../../protocol/index.ts'
import { answeringByTransfer, askTransfer } from '../../../src/peers/streams/exchange.ts'
import { Slots } from '../../../src/peers/streams/slots.ts'
import type { SwarmInit } from '../../../src/peers/swarm/swarm.ts'
import { Throttle } from '../../../src/util/throttle.ts'
import { eventually } from '../../support/mesh-node.ts'
import { type SwarmNode, startSwarm } from '../../support/swarm-node.ts'

const PACK = protocolId('test', 'pack')
const AT_ONCE = 4
const CHUNKS = 60
const LARGEST_CHUNK = 256 * 1024
const PRE_SHARED_KEY = Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${'5a'.repeat(32)}`)

/** A node that sends random bytes out of one piece of memory, and the digests of what it sent by the first byte of what was wanted. */
async function sender(init: Partial<SwarmInit>): Promise<{ node: SwarmNode; digests: Map<number, string> }> {
  const digests = new Map<number, string>()
  const node = await startSwarm({
    ...init,
    serve: (swarm, context) => {
      const slots = new Slots({ perPeer: AT_ONCE, overall: 2 * AT_ONCE })
      const handling = { request: WANT, maxRequest: MAX_WANT_MESSAGE, slots, limit: new Throttle(Infinity) }
      swarm.handle(
        PACK,
        AT_ONCE,
        answeringByTransfer(context, handling, async function* ({ wants }) {
          const memory = Buffer.allocUnsafeSlow(LARGEST_CHUNK)
          const hash = createHash('sha256')
          for (let i = 1; i <= CHUNKS; i++) {
            const chunk = memory.subarray(0, 1 + ((i * 48_611) % LARGEST_CHUNK))
            randomFillSync(chunk)
            hash.update(chunk)
            yield chunk
          }
          digests.set(wants[0]!, hash.digest('hex'))
        }),
      )
    },
  })
  return { node, digests }
}

describe('memory that is used again', () => {
  for (const [name, init] of [
    ['over Noise', {}],
    ['under a pre-shared key', { preSharedKey: PRE_SHARED_KEY }],
  ] as const) {
    it(`changes nothing of what is sent ${name}`, async () => {
      const [a, b] = [await sender(init), await sender(init)]
      await using _ = a.node
      await using __ = b.node
      await a.node.connect(b.node)
      await eventually('both to know', () => b.node.swarm.members.has(a.node.id))
      const received = async (from: SwarmNode, to: SwarmNode, number: number): Promise<string> => {
        const question = {
          wants: new Uint8Array(20).fill(number),
          haves: new Uint8Array(0),
          omitBlobs: false,
        }
        const hash = createHash('sha256')
        const chunks = askTransfer(to.context, from.id, { protocol: PACK, request: WANT }, question, {})
        for await (const chunk of chunks) hash.update(chunk)
        return hash.digest('hex')
      }
      const numbers = Array.from({ length: AT_ONCE }, (_, i) => i)
      const [ofA, ofB] = await Promise.all([
        Promise.all(numbers.map((number) => received(a.node, b.node, number))),
        Promise.all(numbers.map((number) => received(b.node, a.node, number))),
      ])
      assert.deepEqual(
        ofA,
        numbers.map((number) => a.digests.get(number)),
      )
      assert.deepEqual(
        ofB,
        numbers.map((number) => b.digests.get(number)),
      )
    })
  }
})
