import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  DaemonProtocolError,
  DaemonTimeoutError,
  DaemonUnavailableError,
} from '../../../../src/ingest/daemon/errors.ts'
import { WireReader, WireWriter } from '../../../../src/ingest/daemon/wire.ts'
import { str, strs, u64 } from '../../../support/daemon-peer.ts'

function reader(stream: PassThrough, idleTimeout = 60_000): WireReader {
  return new WireReader(stream, { peer: 'the peer', idleTimeout })
}

function over(...parts: Uint8Array[]): WireReader {
  const stream = new PassThrough()
  stream.end(Buffer.concat(parts))
  return reader(stream)
}

const values = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('u64' as const), value: fc.maxSafeNat() }),
    fc.record({ kind: fc.constant('bool' as const), value: fc.boolean() }),
    fc.record({
      kind: fc.constant('string' as const),
      value: fc.string({ unit: 'grapheme', maxLength: 40 }),
    }),
    fc.record({
      kind: fc.constant('strings' as const),
      value: fc.array(fc.string({ maxLength: 12 }), { maxLength: 5 }),
    }),
    fc.record({ kind: fc.constant('raw' as const), value: fc.uint8Array({ minLength: 1, maxLength: 40 }) }),
  ),
  { maxLength: 12 },
)

test('what is written is read, in whatever chunks it comes', async () => {
  await fc.assert(
    fc.asyncProperty(
      values,
      fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 60 }),
      async (items, cuts) => {
        const parts = items.map((item) => {
          if (item.kind === 'raw') return item.value
          const writer = new WireWriter()
          if (item.kind === 'u64') writer.u64(item.value)
          else if (item.kind === 'bool') writer.bool(item.value)
          else if (item.kind === 'string') writer.string(item.value)
          else writer.strings(item.value)
          return writer.finish()
        })
        const bytes = Buffer.concat(parts)
        const stream = new PassThrough()
        const wire = reader(stream)
        const feed = async () => {
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const end = at + (cuts[i] ?? 1000)
            stream.write(bytes.subarray(at, end))
            if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
            at = end
          }
          stream.end()
        }
        const feeding = feed()
        for (const item of items) {
          if (item.kind === 'u64') assert.equal(await wire.u64(), item.value)
          else if (item.kind === 'bool') assert.equal(await wire.bool(), item.value)
          else if (item.kind === 'string') assert.equal(await wire.string(1000), item.value)
          else if (item.kind === 'strings') assert.deepEqual(await wire.strings(5, 1000), item.value)
          else {
            const got: Buffer[] = []
            for (let left = item.value.length; left > 0; ) {
              const chunk = (await wire.peek()).subarray(0, left)
              assert.ok(chunk.length > 0)
              got.push(Buffer.from(chunk))
              wire.consume(chunk.length)
              left -= chunk.length
            }
            assert.deepEqual(Buffer.concat(got), Buffer.from(item.value))
          }
        }
        await feeding
        assert.equal(wire.buffered, 0)
        assert.equal(wire.received, bytes.length)
        await assert.rejects(async () => wire.u64(), DaemonUnavailableError)
      },
    ),
    { numRuns: 150 },
  )
})

test('the written form is the one of the protocol', () => {
  const bytes = new WireWriter()
    .u64(26)
    .bool(true)
    .string('/nix/store/x')
    .strings(['a', '', '12345678'])
    .finish()
  assert.deepEqual(bytes, Buffer.concat([u64(26), u64(1), str('/nix/store/x'), strs('a', '', '12345678')]))
})

test('integers reach to 2^53-1', async () => {
  assert.equal(await over(u64(Number.MAX_SAFE_INTEGER)).u64(), Number.MAX_SAFE_INTEGER)
  for (const value of [2n ** 53n, 2n ** 64n - 8n, 2n ** 63n]) {
    await assert.rejects(async () => over(u64(value)).u64(), DaemonProtocolError)
    await assert.rejects(async () => over(u64(value), Buffer.alloc(64)).bytes(1e15), DaemonProtocolError)
  }
})

test('a boolean is 0 or 1', async () => {
  await assert.rejects(async () => over(u64(2)).bool(), /2 where a boolean belongs/)
})

test('a string that is longer than allowed is refused by its length alone', async () => {
  await assert.rejects(
    async () => over(u64(2 ** 40)).bytes(1024),
    /a string of 1099511627776 bytes where 1024 are allowed/,
  )
  assert.equal(await over(str('x'.repeat(1024))).string(1024), 'x'.repeat(1024))
})

test('a list that is longer than allowed is refused by its count alone', async () => {
  await assert.rejects(over(u64(6)).strings(5, 10), /a list of 6 strings where 5 are allowed/)
})

test('padding must be zero', async () => {
  for (let at = 9; at < 16; at++) {
    const bytes = str('a')
    bytes[at] = 1
    await assert.rejects(async () => over(bytes).string(10), /padding that is not zero/)
  }
})

test('the stream may end or fail in the middle', async () => {
  await assert.rejects(async () => over(u64(100), Buffer.alloc(50)).bytes(100), DaemonUnavailableError)
  const stream = new PassThrough()
  const wire = reader(stream)
  const cause = new Error('reset')
  stream.write(u64(5))
  await new Promise((resolve) => setImmediate(resolve))
  stream.destroy(cause)
  assert.equal(await wire.u64(), 5)
  await assert.rejects(
    async () => wire.u64(),
    (error) => error instanceof DaemonUnavailableError && error.cause === cause,
  )
})

test('silence is an error after the time that is allowed, and only while something is awaited', async () => {
  const stream = new PassThrough()
  const wire = reader(stream, 30)
  await new Promise((resolve) => setTimeout(resolve, 60))
  const waiting = Promise.resolve(wire.u64())
  stream.write(u64(1))
  assert.equal(await waiting, 1)
  await assert.rejects(async () => wire.u64(), DaemonTimeoutError)
  assert.ok(wire.ended)
})

test('the stream is paused while nobody reads, and for a long string it is not', async () => {
  const stream = new PassThrough({ highWaterMark: 16 * 1024 })
  const wire = reader(stream)
  const chunk = Buffer.alloc(16 * 1024)
  let written = 0
  for (let i = 0; i < 400; i++) {
    if (!stream.write(i === 0 ? Buffer.concat([u64(chunk.length * 100), chunk]) : chunk)) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    written += chunk.length
  }
  assert.equal(written, 400 * chunk.length)
  assert.ok(wire.buffered < 512 * 1024, `${wire.buffered} bytes are buffered`)
  assert.equal((await wire.bytes(chunk.length * 100)).length, chunk.length * 100)
  assert.ok(wire.buffered < 512 * 1024, `${wire.buffered} bytes are buffered`)
  let left = 300 * chunk.length
  while (left > 0) {
    const { length } = await wire.peek()
    wire.consume(length)
    left -= length
  }
  assert.equal(left, 0)
})

test('a reader that was failed says why', async () => {
  const wire = reader(new PassThrough())
  const reason = new Error('enough')
  const waiting = assert.rejects(async () => wire.u64(), reason)
  await new Promise((resolve) => setImmediate(resolve))
  wire.fail(reason)
  await waiting
  await assert.rejects(async () => wire.u64(), reason)
})
