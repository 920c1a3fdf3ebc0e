import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MalformedObjectError } from '../../../../src/git/object-errors.ts'
import {
  applyDelta,
  applyDeltaStream,
  type DeltaBase,
  readDeltaHeader,
} from '../../../../src/git/pack/delta.ts'

type Instruction = { copy: number; length: number } | { insert: Uint8Array }

function varint(value: number): number[] {
  const bytes: number[] = []
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(0x80 | (value % 128))
  return [...bytes, value]
}

function encode(baseSize: number, resultSize: number, instructions: readonly Instruction[]): Buffer {
  const bytes = [...varint(baseSize), ...varint(resultSize)]
  for (const instruction of instructions) {
    if ('insert' in instruction) {
      bytes.push(instruction.insert.length, ...instruction.insert)
      continue
    }
    const operands: number[] = []
    let code = 0x80
    const parts = [0, 8, 16, 24].map((shift) => (instruction.copy >>> shift) & 0xff)
    // Exactly 64 KiB is written as no size at all.
    const size = instruction.length === 0x10000 ? 0 : instruction.length
    parts.push(...[0, 8, 16].map((shift) => (size >>> shift) & 0xff))
    for (const [bit, part] of parts.entries()) {
      if (part === 0) continue
      code |= 1 << bit
      operands.push(part)
    }
    bytes.push(code, ...operands)
  }
  return Buffer.from(bytes)
}

function result(base: Buffer, instructions: readonly Instruction[]): Buffer {
  return Buffer.concat(
    instructions.map((one) =>
      'insert' in one ? one.insert : base.subarray(one.copy, one.copy + one.length),
    ),
  )
}

const memory = (base: Buffer): DeltaBase => ({
  size: base.length,
  readInto: (target, position) => {
    assert.ok(position >= 0 && position + target.length <= base.length)
    base.copy(target, 0, position, position + target.length)
  },
})

async function streamed(base: Buffer, delta: Buffer, piece: number): Promise<Buffer> {
  const pieces = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < delta.length; at += piece) yield delta.subarray(at, at + piece)
  }
  const parts: Buffer[] = []
  for await (const part of applyDeltaStream(memory(base), pieces())) parts.push(part)
  return Buffer.concat(parts)
}

const BASE = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7919) >>> 3))
const instruction: fc.Arbitrary<Instruction> = fc.oneof(
  fc.record({
    copy: fc.nat(BASE.length - 0x10000),
    length: fc.oneof(fc.integer({ min: 1, max: 0x10000 }), fc.constant(0x10000)),
  }),
  fc.record({ insert: fc.uint8Array({ minLength: 1, maxLength: 127 }) }),
)
const instructions = fc.array(instruction, { maxLength: 20 })

test('both ways give the result, whatever the pieces', async () => {
  await fc.assert(
    fc.asyncProperty(instructions, fc.integer({ min: 1, max: 50 }), async (list, piece) => {
      const expected = result(BASE, list)
      const delta = encode(BASE.length, expected.length, list)
      assert.ok(applyDelta(BASE, delta, expected.length).equals(expected))
      assert.ok((await streamed(BASE, delta, piece)).equals(expected))
    }),
  )
})

test('damaged deltas are refused, by both ways alike', async () => {
  await fc.assert(
    fc.asyncProperty(
      instructions,
      fc.nat(),
      fc.integer({ min: 0, max: 255 }),
      fc.nat(3),
      async (list, at, value, cut) => {
        const good = encode(BASE.length, result(BASE, list).length, list)
        const delta = good.subarray(0, Math.max(1, good.length - cut))
        delta[at % delta.length] = value
        let whole: Buffer | undefined
        try {
          whole = applyDelta(BASE, delta, 3_000_000)
        } catch (error) {
          assert.ok(error instanceof MalformedObjectError)
        }
        if (whole === undefined) await assert.rejects(streamed(BASE, delta, 7), MalformedObjectError)
        else assert.ok((await streamed(BASE, delta, 7)).equals(whole))
      },
    ),
  )
})

test('each kind of damage is named', async () => {
  const base = Buffer.from('0123456789')
  const bad: [RegExp, Buffer][] = [
    [/cut off/, Buffer.alloc(0)],
    [/cut off/, Buffer.from([10])],
    [/base of 11 bytes/, encode(11, 1, [{ copy: 0, length: 1 }])],
    [/outside of its base/, encode(10, 5, [{ copy: 6, length: 5 }])],
    [/more bytes/, encode(10, 3, [{ copy: 0, length: 4 }])],
    [/fewer bytes/, encode(10, 5, [{ copy: 0, length: 4 }])],
    [/unknown instruction/, Buffer.from([10, 1, 0])],
    [/cut off/, Buffer.from([10, 3, 3, 65, 65])],
    [/cut off/, Buffer.from([10, 3, 0x91, 1])],
    [/impossible size/, Buffer.alloc(20, 0xff)],
  ]
  for (const [message, delta] of bad) {
    assert.throws(() => applyDelta(base, delta, 100), message)
    await assert.rejects(streamed(base, delta, 1), message)
  }
  assert.throws(() => applyDelta(base, encode(10, 200, []), 100), /more than 100 bytes/)
})

test('a small delta may stand for much: it comes in pieces', async () => {
  const list = Array.from({ length: 200 }, () => ({ copy: 1, length: 0x10000 }))
  const delta = encode(BASE.length, 200 * 0x10000, list)
  assert.ok(delta.length < 2000)
  assert.ok((await streamed(BASE, delta, 100)).equals(result(BASE, list)))
})

test('sizes', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (baseSize, resultSize) => {
      const delta = encode(baseSize, resultSize, [])
      assert.deepEqual(readDeltaHeader(delta), { baseSize, resultSize, length: delta.length })
      assert.equal(readDeltaHeader(delta.subarray(0, -1)), undefined)
    }),
  )
})
