/** Git deltas: applied in memory and streamed, cut anywhere, the outcome is one. */
import assert from 'node:assert/strict'
import { applyDelta, applyDeltaStream } from '../../../src/git/pack/delta.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const BASE = Buffer.from(Array.from({ length: 1000 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 20) & 0xff))
const LIMIT = 4 * 1024 * 1024

export const target: FuzzTarget = {
  name: 'delta',
  maxLength: 2000,
  tokens: [
    Buffer.from([0xe8, 0x07]),
    Buffer.from([0x80]),
    Buffer.from([0xb0, 0xe8, 0x03]),
    Buffer.from([0xff]),
    Buffer.from([0x91, 0, 1]),
  ],

  seeds: () => [
    // 1,000 bytes to 1,000: all of the base
    Buffer.from([0xe8, 0x07, 0xe8, 0x07, 0xb0, 0xe8, 0x03]),
    // to 10: three bytes of its own, seven of the base
    Buffer.from([0xe8, 0x07, 10, 3, 1, 2, 3, 0x91, 100, 7]),
    Buffer.from([0xe8, 0x07, 0]),
    Buffer.from([0xe8, 0x07, 0xd0, 0x0f, ...[0xb0, 0xe8, 0x03], ...[0xb0, 0xe8, 0x03]]),
  ],

  async run(data) {
    const whole = await attempt(() => applyDelta(BASE, data, LIMIT))
    const base = {
      size: BASE.length,
      readInto: (into: Buffer, position: number) => BASE.copy(into, 0, position, position + into.length),
    }
    for (const size of [Math.max(1, data.length), 1, 5]) {
      const streamed = await attempt(() => collect(base, data, size))
      if (whole instanceof GachixError) assert.ok(streamed instanceof GachixError || streamed.length > LIMIT)
      else assert.ok(!(streamed instanceof GachixError) && streamed.equals(whole))
    }
    if (whole instanceof GachixError) throw whole
  },
}

async function collect(
  base: Parameters<typeof applyDeltaStream>[0],
  data: Buffer,
  size: number,
): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const chunk of applyDeltaStream(base, pieces(data, size))) parts.push(chunk)
  return Buffer.concat(parts)
}

async function* pieces(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}

async function attempt<T>(action: () => T | Promise<T>): Promise<T | GachixError> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof GachixError) return error
    throw error
  }
}
