import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import {
  checkDeclaredSize,
  inflateExact,
  inflatePrefix,
  inflateStream,
  STREAM_CHUNK_SIZE,
  SYNC_INFLATE_SIZE,
} from '../../../src/git/inflate.ts'
import { MalformedObjectError } from '../../../src/git/object-errors.ts'

async function* pieces(data: Buffer, size = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}

async function streamed(raw: Buffer, size: number, signal?: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of inflateStream(pieces(raw), size, signal)) {
    assert.ok(part.length <= STREAM_CHUNK_SIZE)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

const SIZES = [0, 1, 100, SYNC_INFLATE_SIZE, SYNC_INFLATE_SIZE + 1, 3 * STREAM_CHUNK_SIZE]

test('data of exactly the declared size comes out, whatever follows it', async () => {
  for (const size of SIZES) {
    const data = Buffer.alloc(size, 'some text')
    const raw = Buffer.concat([deflateSync(data), Buffer.from('the next entry')])
    assert.ok((await inflateExact(raw, size)).equals(data))
    assert.ok((await streamed(raw, size)).equals(data))
  }
})

test('more or fewer bytes than declared are refused', async () => {
  for (const size of SIZES) {
    const raw = deflateSync(Buffer.alloc(size, 'some text'))
    for (const wrong of [size - 1, size + 1].filter((value) => value >= 0)) {
      await assert.rejects(async () => inflateExact(raw, wrong), MalformedObjectError)
      await assert.rejects(streamed(raw, wrong), MalformedObjectError)
    }
  }
})

test('damaged and cut off data is refused', async () => {
  for (const size of SIZES) {
    const raw = deflateSync(Buffer.alloc(size, 'some text'))
    const damaged = Buffer.from(raw)
    damaged[0]! ^= 0xff
    const cut = raw.subarray(0, -1)
    for (const bad of [damaged, cut]) {
      await assert.rejects(async () => inflateExact(bad, size), MalformedObjectError)
      await assert.rejects(streamed(bad, size), MalformedObjectError)
    }
  }
  assert.throws(() => inflatePrefix(Buffer.from('no zlib')), MalformedObjectError)
})

test('nothing is allocated for a size that cannot be', async () => {
  assert.throws(() => checkDeclaredSize(2 ** 40, 1000), MalformedObjectError)
  await assert.rejects(async () => inflateExact(deflateSync(Buffer.alloc(10)), 2 ** 40), MalformedObjectError)
})

test('a bomb is stopped at the declared size', async () => {
  const bomb = deflateSync(Buffer.alloc(50_000_000))
  let taken = 0
  await assert.rejects(async () => {
    for await (const part of inflateStream(pieces(bomb, 10), 1000)) taken += part.length
  }, MalformedObjectError)
  assert.ok(taken <= 1000)
})

test('the beginning of a stream inflates to the beginning of its data', () => {
  const raw = deflateSync(Buffer.from('header and more, '.repeat(100)))
  assert.match(inflatePrefix(raw.subarray(0, 30)).toString(), /^header/)
  assert.equal(inflatePrefix(raw.subarray(0, 1)).length, 0)
})

test('what the source throws is passed on, and the source is ended when the loop is left', async () => {
  const raw = deflateSync(Buffer.alloc(5_000_000))
  const failing = async function* (): AsyncGenerator<Buffer> {
    yield raw.subarray(0, 100)
    throw new RangeError('disk on fire')
  }
  await assert.rejects(async () => {
    for await (const _ of inflateStream(failing(), 5_000_000));
  }, new RangeError('disk on fire'))

  let ended: () => void
  const end = new Promise<void>((resolve) => {
    ended = resolve
  })
  const watched = async function* (): AsyncGenerator<Buffer> {
    try {
      yield* pieces(raw, 100)
    } finally {
      ended()
    }
  }
  for await (const _ of inflateStream(watched(), 5_000_000)) break
  await end
})

test('an aborted stream ends with ERR_ABORTED', async () => {
  const raw = deflateSync(Buffer.alloc(5_000_000))
  await assert.rejects(streamed(raw, 5_000_000, AbortSignal.abort()), { code: 'ERR_ABORTED' })
})
