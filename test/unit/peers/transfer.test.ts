/** Transfers and questions over real streams: what honest peers see, also when one is slow, leaves, or its connection breaks. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { MAX_WANT_MESSAGE, protocolId, WANT } from '../../../protocol/index.ts'
import type { PeerStalledError } from '../../../src/peers/errors.ts'
import { answeringByTransfer, askTransfer } from '../../../src/peers/streams/exchange.ts'
import { PACE_BYTES, PACE_WINDOW } from '../../../src/peers/streams/limits.ts'
import { Pace } from '../../../src/peers/streams/pace.ts'
import { Refuse } from '../../../src/peers/streams/refusal.ts'
import { Slots } from '../../../src/peers/streams/slots.ts'
import { Throttle } from '../../../src/util/throttle.ts'
import { eventually } from '../../support/mesh-node.ts'
import { type SwarmNode, startSwarm } from '../../support/swarm-node.ts'

const PACK = protocolId('test', 'pack')
const QUESTION = { wants: new Uint8Array(20), haves: new Uint8Array(0), omitBlobs: false }
const MEBIBYTE = 1024 * 1024

type Source = (options: { signal: AbortSignal }) => AsyncIterable<Uint8Array>

describe('transfers between peers', () => {
  let server: SwarmNode
  let client: SwarmNode
  let source: Source
  let upload = new Throttle(Infinity)

  before(async () => {
    server = await startSwarm({
      serve: (swarm, context) => {
        const slots = new Slots({ perPeer: 4, overall: 8 })
        const limit = { take: (bytes: number, options: object) => upload.take(bytes, options) } as Throttle
        const handling = { request: WANT, maxRequest: MAX_WANT_MESSAGE, slots, limit }
        swarm.handle(
          PACK,
          8,
          answeringByTransfer(context, handling, (_, __, options) => source(options)),
        )
      },
    })
    client = await startSwarm()
    await client.connect(server)
  })
  after(async () => {
    await client.close()
    await server.close()
  })

  const fetch = (options = {}) =>
    askTransfer(client.context, server.id, { protocol: PACK, request: WANT }, QUESTION, options)
  const noStreams = () =>
    eventually('all streams to be gone', () => client.swarm.openStreams + server.swarm.openStreams === 0)

  /** Chunks of odd lengths. @returns also what was given so far */
  function chunks(total: number): { source: Source; given: () => number; digest: () => string } {
    const hash = createHash('sha256')
    let given = 0
    return {
      given: () => given,
      digest: () => hash.digest('hex'),
      async *source() {
        for (let i = 1; given < total; i++) {
          const chunk = Buffer.alloc(Math.min(total - given, (i * 7919) % 300_000), i)
          given += chunk.length
          hash.update(chunk)
          yield chunk
        }
      },
    }
  }

  it('take few system calls: one write for a piece of a transfer, not one for each part of it', async () => {
    const size = 32 * MEBIBYTE
    source = chunks(size).source
    const before = await writes()
    for await (const _ of fetch());
    const calls = ((await writes()) - before) / (size / MEBIBYTE)
    // Of both sides, for a megabyte: 17 messages of Noise, windows, credit. With a write for each part there were 90.
    assert.ok(calls < 40, `${calls} writes a megabyte`)
    await noStreams()
  })

  it('bring exactly what was sent', async () => {
    for (const size of [0, 1, 60 * 1024, 5 * MEBIBYTE + 3]) {
      const made = chunks(size)
      source = made.source
      const hash = createHash('sha256')
      let length = 0
      for await (const chunk of fetch()) {
        hash.update(chunk)
        length += chunk.length
      }
      assert.equal(length, size)
      assert.equal(hash.digest('hex'), made.digest())
    }
    await noStreams()
  })

  it('do not run ahead of a slow receiver', async () => {
    const made = chunks(64 * MEBIBYTE)
    source = made.source
    let taken = 0
    let ahead = 0
    for await (const chunk of fetch()) {
      taken += chunk.length
      await new Promise((resolve) => setTimeout(resolve, 1))
      ahead = Math.max(ahead, made.given() - taken)
      if (taken > 4 * MEBIBYTE) break
    }
    assert.ok(ahead < 3.5 * MEBIBYTE, `${ahead} bytes ahead`)
    await noStreams()
    assert.ok(made.given() < 8 * MEBIBYTE, 'the sender has stopped')
  })

  it('end with the reason when the sender cannot go on', async () => {
    source = async function* () {
      yield Buffer.alloc(MEBIBYTE)
      throw new Refuse('NOT_FOUND', 'it is gone')
    }
    await assert.rejects(drain(fetch()), { code: 'ERR_PEER_REFUSED', message: /NOT_FOUND.*it is gone/ })
    source = async function* () {
      yield Buffer.alloc(1)
      throw new Error('a secret of the sender')
    }
    await assert.rejects(drain(fetch()), (error: Error) => !error.message.includes('secret'))
    await noStreams()
  })

  it('tell the sender when the receiver leaves', async () => {
    let stopped = false
    source = async function* ({ signal }) {
      try {
        for (;;) {
          yield Buffer.alloc(100_000)
          signal.throwIfAborted()
        }
      } finally {
        stopped = true
      }
    }
    for await (const _ of fetch()) break
    await eventually('the sender to stop', () => stopped)
    const abort = new AbortController()
    await assert.rejects(
      async () => {
        for await (const _ of fetch({ signal: abort.signal })) abort.abort()
      },
      { code: 'ERR_ABORTED' },
    )
    await noStreams()
  })

  it('keep to a limit of bytes a second', async () => {
    upload = new Throttle(2 * MEBIBYTE)
    source = chunks(4 * MEBIBYTE).source
    const start = performance.now()
    await drain(fetch())
    const seconds = (performance.now() - start) / 1000
    upload = new Throttle(Infinity)
    assert.ok(seconds > 0.9, `took ${seconds} s`)
  })

  it('are refused beyond the bound, and go on afterwards', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    source = async function* () {
      yield Buffer.alloc(1)
      await held
    }
    const running = Array.from({ length: 4 }, () => fetch())
    for (const transfer of running) await transfer.next()
    await assert.rejects(drain(fetch()), { code: 'ERR_PEER_REFUSED', message: /BUSY/ })
    release()
    for (const transfer of running) await drain(transfer)
    await drain(fetch())
    await noStreams()
  })

  it('leave nothing behind, two hundred times', async () => {
    source = chunks(200_000).source
    const resources = () => process.getActiveResourcesInfo().length
    await drain(fetch())
    const before = resources()
    for (let i = 0; i < 200; i++) {
      source = chunks(i % 20 === 0 ? MEBIBYTE : 1000).source
      if (i % 5 === 0) for await (const _ of fetch()) break
      else await drain(fetch())
    }
    await noStreams()
    await eventually('timers to be gone', () => resources() <= before + 10)
    assert.deepEqual([...server.offences, ...client.offences], [])
  })

  it('fail at once when the connection is lost', async () => {
    let told = false
    source = async function* ({ signal }) {
      yield Buffer.alloc(1)
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(new Error('gone'))),
      ).finally(() => {
        told = true
      })
    }
    const transfer = fetch()
    await transfer.next()
    const start = performance.now()
    const failed = assert.rejects(drain(transfer), { code: 'ERR_PEER_UNREACHABLE' })
    await server.swarm.stop()
    await failed
    assert.ok(performance.now() - start < 2500)
    await eventually('the sender to be told', () => told)
  })
})

async function drain(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source);
}

describe('the pace of a transfer', () => {
  function watched() {
    let now = 0
    const stalls: PeerStalledError[] = []
    const pace = new Pace({
      peer: 'p',
      silence: 15_000,
      onStall: (error) => stalls.push(error),
      now: () => now,
    })
    return {
      pace,
      stalls,
      async wait(milliseconds: number) {
        const { promise, resolve } = Promise.withResolvers<void>()
        const waiting = pace.during(promise)
        now += milliseconds
        pace.check()
        resolve()
        await waiting
      },
      idle: (milliseconds: number) => {
        now += milliseconds
        pace.check()
      },
    }
  }

  it('is lost by silence, and only while the other side is waited for', async () => {
    const { pace, stalls, wait, idle } = watched()
    await wait(14_000)
    idle(100_000)
    assert.deepEqual(stalls, [])
    await wait(15_000)
    assert.deepEqual(
      stalls.map(({ code }) => code),
      ['ERR_PEER_STALLED'],
    )
    pace.stop()
  })

  it('is lost by a trickle, and kept by a slow line', async () => {
    const trickle = watched()
    for (let waited = 0; waited < PACE_WINDOW; waited += 5000) {
      trickle.pace.progress(10)
      await trickle.wait(5000)
    }
    assert.equal(trickle.stalls.length, 1)
    const slow = watched()
    for (let i = 0; i < 100; i++) {
      slow.pace.progress(PACE_BYTES / 4)
      await slow.wait(5000)
    }
    assert.deepEqual(slow.stalls, [])
    trickle.pace.stop()
    slow.pace.stop()
  })
})

/** System calls that write, of this process so far. */
async function writes(): Promise<number> {
  return Number(/^syscw: (\d+)$/m.exec(await readFile('/proc/self/io', 'utf8'))?.[1])
}
