import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  DELIM_PKT,
  encodePkt,
  FLUSH_PKT,
  MAX_PKT_PAYLOAD,
  type Packet,
  PktLineError,
  PktReader,
  pktText,
  RESPONSE_END_PKT,
} from '../../../../src/git/protocol/pkt-line.ts'
import { collect } from '../../../support/collect.ts'

/** The bytes in pieces of these lengths, the last of which repeats. */
async function* pieces(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[Math.min(i, lengths.length - 1)]!
    yield bytes.subarray(at, at + length)
    at += length
  }
}

/** All packets of a stream, their payloads copied. */
async function readAll(reader: PktReader, buffered = false): Promise<Packet[]> {
  const packets: Packet[] = []
  for (;;) {
    const packet = (buffered ? reader.buffered() : undefined) ?? (await reader.read())
    if (packet === undefined) return packets
    packets.push(packet.type === 'data' ? { type: 'data', payload: Buffer.from(packet.payload) } : packet)
  }
}

function encode(packet: Packet): Buffer {
  if (packet.type === 'data') return encodePkt(packet.payload)
  return { flush: FLUSH_PKT, delimiter: DELIM_PKT, 'response-end': RESPONSE_END_PKT }[packet.type]
}

describe('pkt-line', () => {
  const packet: fc.Arbitrary<Packet> = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes): Packet => ({ type: 'data', payload: Buffer.from(bytes) })),
    fc.constantFrom<Packet>({ type: 'flush' }, { type: 'delimiter' }, { type: 'response-end' }),
  )
  const lengths = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 })

  test('what is written is read, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(packet), lengths, fc.boolean(), async (packets, cuts, buffered) => {
        const bytes = Buffer.concat(packets.map(encode))
        assert.deepEqual(await readAll(new PktReader(pieces(bytes, cuts)), buffered), packets)
      }),
    )
  })

  test('a stream that is cut off is an error, except between packets', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(packet, { minLength: 1 }), fc.nat(), lengths, async (packets, at, cuts) => {
        const encoded = packets.map(encode)
        const bytes = Buffer.concat(encoded)
        const end = at % bytes.length
        const borders = encoded.map((_, i) =>
          encoded.slice(0, i).reduce((sum, { length }) => sum + length, 0),
        )
        const reading = readAll(new PktReader(pieces(bytes.subarray(0, end), cuts)))
        if (borders.includes(end)) await reading
        else await assert.rejects(reading, PktLineError)
      }),
    )
  })

  test('the longest packet and the empty one', async () => {
    const longest = Buffer.alloc(MAX_PKT_PAYLOAD, 7)
    assert.equal(encodePkt(longest).toString('latin1', 0, 4), 'fff0')
    assert.throws(() => encodePkt(Buffer.alloc(MAX_PKT_PAYLOAD + 1)), RangeError)
    const bytes = Buffer.concat([encodePkt(longest), encodePkt('')])
    const packets = await readAll(new PktReader(pieces(bytes, [1000])))
    assert.deepEqual(packets, [
      { type: 'data', payload: longest },
      { type: 'data', payload: Buffer.alloc(0) },
    ])
  })

  test('lengths that Git does not know are refused', async () => {
    for (const text of ['0003', 'fff1', 'ffff', 'xyz1', '-001', ' 5ab', '00 5', '0x05']) {
      const reader = new PktReader(pieces(Buffer.from(`${text}abcdef`), [100]))
      await assert.rejects(reader.read(), PktLineError, text)
      const ready = new PktReader(pieces(Buffer.from(`0000${text}abcdef`), [100]))
      await ready.read()
      assert.throws(() => ready.buffered(), PktLineError, text)
    }
    assert.deepEqual((await readAll(new PktReader(pieces(Buffer.from('000Aabcdef'), [3])))).length, 1)
  })

  test('nothing is buffered before it was read', async () => {
    const reader = new PktReader(pieces(Buffer.from('0006ab0006cd'), [6, 6]))
    assert.equal(reader.buffered(), undefined)
    assert.equal((await reader.read())?.type, 'data')
    assert.equal(reader.buffered(), undefined)
  })

  test('raw bytes may follow', async () => {
    const reader = new PktReader(pieces(Buffer.from('0008NAK\nPACK and more'), [10, 3]))
    const first = await reader.read()
    assert.ok(first?.type === 'data')
    assert.equal(pktText(first.payload), 'NAK')
    assert.equal((await collect(reader.rest())).toString(), 'PACK and more')
  })
})
