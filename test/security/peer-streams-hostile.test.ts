/** Peers that break the rules on streams: each costs little, is blamed for what it did, and does no harm to others. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { Stream } from '@libp2p/interface'
import {
  delimit,
  FRAME,
  HAVE_ANSWER,
  HAVE_REQUEST,
  MAX_HAVE_MESSAGE,
  MAX_WANT_MESSAGE,
  protocolId,
  WANT,
} from '../../protocol/index.ts'
import { Channel } from '../../src/peers/streams/channel.ts'
import { answering, answeringByTransfer, ask, askTransfer } from '../../src/peers/streams/exchange.ts'
import { Slots } from '../../src/peers/streams/slots.ts'
import { sendTransfer } from '../../src/peers/streams/transfer.ts'
import { Throttle } from '../../src/util/throttle.ts'
import { eventually } from '../support/mesh-node.ts'
import { DATA_FRAME, grant, pour } from '../support/raw-stream.ts'
import { type SwarmNode, startSwarm } from '../support/swarm-node.ts'

const PACK = protocolId('test', 'pack')
const HAVE = protocolId('test', 'have')
const WANTED = { wants: new Uint8Array(20), haves: new Uint8Array(0), omitBlobs: false }
const HASHES = { hashes: new Uint8Array(20) }

describe('a peer that serves', () => {
  let hostile: SwarmNode
  let client: SwarmNode
  let behave: (stream: Stream) => void | Promise<void>

  before(async () => {
    hostile = await startSwarm({
      serve: (swarm) => {
        swarm.handle(PACK, 8, (stream) => behave(stream))
        swarm.handle(HAVE, 8, (stream) => behave(stream))
      },
    })
    client = await startSwarm()
    await client.connect(hostile)
  })
  after(async () => {
    await client.close()
    await hostile.close()
  })

  async function fetched(): Promise<number> {
    let length = 0
    const options = { silence: 400 }
    for await (const chunk of askTransfer(
      client.context,
      hostile.id,
      { protocol: PACK, request: WANT },
      WANTED,
      options,
    )) {
      length += chunk.length
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return length
  }
  const question = { protocol: HAVE, request: HAVE_REQUEST, answer: HAVE_ANSWER, maxAnswer: MAX_HAVE_MESSAGE }
  const data = Buffer.from('data')
  const end = (length: number, bytes: Uint8Array) => ({
    end: { length, sha256: createHash('sha256').update(bytes).digest() },
  })

  const tricks: [string, (stream: Stream) => void | Promise<void>, string][] = [
    [
      'sends what is no frame',
      (stream) => void stream.send(delimit(Buffer.from('nonsense'))),
      'ERR_PEER_PROTOCOL',
    ],
    [
      'announces a frame of gigabytes',
      (stream) => void stream.send(Buffer.from([0xff, 0xff, 0xff, 0x7f, 0])),
      'ERR_PEER_PROTOCOL',
    ],
    ['ends without an end', (stream) => stream.close(), 'ERR_PEER_PROTOCOL'],
    [
      'ends within a frame',
      async (stream) => {
        stream.send(DATA_FRAME.subarray(0, 1000))
        await stream.close()
      },
      'ERR_PEER_PROTOCOL',
    ],
    [
      'lies about what it sent',
      (stream) => {
        stream.send(delimit(FRAME.encode({ data })))
        stream.send(delimit(FRAME.encode(end(data.length, Buffer.from('else')))))
      },
      'ERR_PEER_PROTOCOL',
    ],
    [
      'lies about how much it sent',
      (stream) => void stream.send(delimit(FRAME.encode(end(5, Buffer.alloc(5))))),
      'ERR_PEER_PROTOCOL',
    ],
    ['resets the stream', (stream) => stream.abort(new Error('no')), 'ERR_PEER_UNREACHABLE'],
    ['says nothing', () => {}, 'ERR_PEER_STALLED'],
    [
      'stops in the middle',
      (stream) => void stream.send(delimit(FRAME.encode({ data }))),
      'ERR_PEER_STALLED',
    ],
  ]
  for (const [what, trick, code] of tricks) {
    it(`and ${what}`, async () => {
      behave = trick
      client.offences.length = 0
      await assert.rejects(fetched(), { code })
      const offence = { ERR_PEER_PROTOCOL: 'protocol', ERR_PEER_STALLED: 'stall' }[code]
      assert.deepEqual(client.offences, offence === undefined ? [] : [`${hostile.id} ${offence}`])
      await eventually('the stream to be gone', () => client.swarm.openStreams === 0)
    })
  }

  it('and sends more than it was granted is held back', async () => {
    behave = (stream) => pour(stream, DATA_FRAME, 1000)
    client.bytes.received = 0
    let taken = 0
    let ahead = 0
    const source = askTransfer(client.context, hostile.id, { protocol: PACK, request: WANT }, WANTED)
    for await (const chunk of source) {
      taken += chunk.length
      ahead = Math.max(ahead, client.bytes.received - taken)
      await new Promise((resolve) => setTimeout(resolve, 5))
      if (taken > 8_000_000) break
    }
    assert.ok(ahead < 5_000_000, `${ahead} bytes were kept`)
  })

  it('and answers a question at too great length, or by nonsense', async () => {
    for (const answer of [Buffer.alloc(200_000, 0xff), Buffer.from([0xff, 0xff, 0x7f])]) {
      behave = async (stream) => {
        await pour(stream, answer, 40)
      }
      await assert.rejects(ask(client.context, hostile.id, question, HASHES), { code: 'ERR_PEER_PROTOCOL' })
    }
    await eventually('the streams to be gone', () => client.swarm.openStreams === 0)
  })
})

describe('a peer that asks', () => {
  let server: SwarmNode
  let hostile: SwarmNode
  let honest: SwarmNode
  let running = 0
  let most = 0

  before(async () => {
    const source = async function* (): AsyncGenerator<Uint8Array> {
      running++
      most = Math.max(most, running)
      try {
        for (let i = 0; i < 400; i++) yield Buffer.alloc(100_000, i)
      } finally {
        running--
      }
    }
    server = await startSwarm({
      serve: (swarm, context) => {
        const slots = new Slots({ perPeer: 4, overall: 8 })
        const limit = new Throttle(Infinity)
        swarm.handle(
          PACK,
          8,
          answeringByTransfer(context, { request: WANT, maxRequest: MAX_WANT_MESSAGE, slots, limit }, source),
        )
        const few = new Slots({ perPeer: 8, overall: 64 })
        swarm.handle(
          HAVE,
          16,
          answering(
            context,
            { request: HAVE_REQUEST, maxRequest: MAX_HAVE_MESSAGE, slots: few },
            HAVE_ANSWER,
            (refusal) => ({ packages: [], refusal }),
            () => ({ packages: [] }),
          ),
        )
      },
    })
    hostile = await startSwarm()
    honest = await startSwarm()
    await hostile.connect(server)
    await honest.connect(server)
  })
  after(() => Promise.all([server, hostile, honest].map((node) => node.close())))

  const question = { protocol: HAVE, request: HAVE_REQUEST, answer: HAVE_ANSWER, maxAnswer: MAX_HAVE_MESSAGE }

  it('for many packs at once, and takes none of them, gets its share and no more', async () => {
    const streams = await Promise.all(
      Array.from({ length: 8 }, () => hostile.swarm.open(server.id, PACK).catch(() => undefined)),
    )
    for (const stream of streams) stream?.send(delimit(WANT.encode(WANTED)))
    for (const stream of streams) if (stream?.status === 'open') grant(stream, 100_000)
    await eventually('transfers to run', () => running > 0)
    let length = 0
    for await (const chunk of askTransfer(
      honest.context,
      server.id,
      { protocol: PACK, request: WANT },
      WANTED,
    )) {
      length += chunk.length
    }
    assert.equal(length, 40_000_000)
    assert.ok(most <= 5, `${most} transfers ran at once`)
    for (const stream of streams) stream?.abort(new Error('enough'))
    await eventually('transfers to end', () => running === 0)
  })

  it('again and again is told to wait, and then is flooding', async () => {
    server.offences.length = 0
    const flooding = async () => {
      for (let i = 0; i < 300 && !server.offences.includes(`${hostile.id} flood`); i++) {
        await Promise.all(
          Array.from({ length: 12 }, () => ask(hostile.context, server.id, question, HASHES).catch(() => {})),
        )
      }
    }
    const answered = async () => {
      for (let i = 0; i < 20; i++) await ask(honest.context, server.id, question, HASHES)
    }
    await Promise.all([flooding(), answered()])
    assert.ok(server.offences.includes(`${hostile.id} flood`))
    assert.ok(server.offences.every((offence) => offence.startsWith(hostile.id)))
  })

  it('with what is no question is blamed', async () => {
    server.offences.length = 0
    const stream = await hostile.swarm.open(server.id, HAVE)
    stream.send(delimit(Buffer.from('nonsense')))
    await eventually('the blame', () => server.offences.includes(`${hostile.id} protocol`))
    const long = await hostile.swarm.open(server.id, HAVE)
    await pour(long, Buffer.from([0xff, 0xff, 0xff, 0x7f]), 1)
    await eventually('the stream to be reset', () => long.status !== 'open')
  })

  it('and does not take what is sent to it costs a stream for a moment', async () => {
    const opened = Promise.withResolvers<Stream>()
    await using sender = await startSwarm({
      serve: (swarm) => swarm.handle(PACK, 8, (stream) => opened.resolve(stream)),
    })
    await hostile.connect(sender)
    const raw = await hostile.swarm.open(sender.id, PACK)
    grant(raw, 1)
    const channel = new Channel({ stream: await opened.promise, peer: hostile.id, maxMessage: 100 })
    const source = async function* () {
      yield Buffer.alloc(1_000_000)
    }
    await assert.rejects(sendTransfer(channel, source(), { silence: 400 }), { code: 'ERR_PEER_STALLED' })
    await eventually('the stream to be gone', () => raw.status !== 'open')
  })
})
