/** Deflate scanner and splicing, held to what zlib makes of the same bytes. */
import assert from 'node:assert/strict'
import { constants, crc32, deflateSync, gunzipSync, inflateRawSync } from 'node:zlib'
import { DeflateScanner } from '../../../src/git/splice/deflate-scanner.ts'
import { DeflateFormatError } from '../../../src/git/splice/errors.ts'
import { gzipEnd, gzipHeader } from '../../../src/git/splice/gzip.ts'
import { applyPatches, splicePlan } from '../../../src/git/splice/splice.ts'
import type { FuzzTarget } from '../target.ts'

/** What zlib may make of an input before it is left at that. */
const MAX_OUTPUT = 1 << 21

export const target: FuzzTarget = {
  name: 'deflate',
  tokens: [
    Buffer.from([0, 0, 0, 0xff, 0xff]),
    Buffer.from([3, 0]),
    Buffer.from([1, 0, 0, 0xff, 0xff]),
    Buffer.from([0x78, 0x9c]),
  ],

  seeds() {
    const text = Buffer.from(`${'the quick brown fox jumps over the lazy dog; '.repeat(40)}and stops`)
    const noise = Buffer.from(
      Array.from({ length: 3000 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 0xff),
    )
    const mixed = Buffer.concat([noise.subarray(0, 500), text, Buffer.alloc(5000), noise])
    const strategies = [
      constants.Z_DEFAULT_STRATEGY,
      constants.Z_FIXED,
      constants.Z_HUFFMAN_ONLY,
      constants.Z_RLE,
    ]
    return [
      deflateSync(Buffer.alloc(0)),
      deflateSync(noise, { level: 0 }),
      ...strategies.flatMap((strategy) => [text, mixed].map((content) => deflateSync(content, { strategy }))),
      deflateSync(Buffer.concat(Array.from({ length: 8 }, () => mixed)), { memLevel: 1 }),
    ]
  },

  run(data) {
    const whole = scan(data, data.length)
    const pieces = scan(data, 1 + (data.length % 13))
    assert.deepEqual(pieces, whole)
    if (data.length < 2 || typeof whole === 'string' || whole.consumed < 2) return
    const expected = inflateRaw(data.subarray(2))
    if (whole.endBit === -1) {
      assert.equal(expected, undefined, 'zlib finds an end where the scanner finds none')
      return
    }
    assert.ok(expected !== undefined, 'zlib refuses what the scanner accepts')
    if (expected === 'too large') return
    assert.equal(whole.outputLength, expected.length)
    checkSplice(data, whole, expected)
  },
}

interface Facts {
  readonly done: boolean
  readonly finalBit: number
  readonly endBit: number
  readonly outputLength: number
  readonly consumed: number
}

function scan(data: Buffer, chunkSize: number): Facts | string {
  const scanner = new DeflateScanner()
  try {
    for (let at = 0; at < data.length; at += chunkSize) scanner.push(data.subarray(at, at + chunkSize))
  } catch (error) {
    if (!(error instanceof DeflateFormatError)) throw error
    // the header is checked here and not by inflateRaw; what follows must fail there as well
    if (!/header|method|window|dictionary/.test(error.message)) {
      assert.equal(
        inflateRaw(data.subarray(2)),
        undefined,
        `zlib accepts what the scanner refuses: ${error.message}`,
      )
    }
    return error.message
  }
  const { done, finalBit, endBit, outputLength, consumed } = scanner
  return { done, finalBit, endBit, outputLength, consumed }
}

function inflateRaw(raw: Buffer): Buffer | 'too large' | undefined {
  try {
    return inflateRawSync(raw, { maxOutputLength: MAX_OUTPUT })
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'too large' : undefined
  }
}

function checkSplice(data: Buffer, facts: Facts, content: Buffer): void {
  if (!facts.done) return
  const { finalBit, endBit, consumed } = facts
  const plan = splicePlan({ kind: 'bits', finalBit, endBit }, consumed)
  const body = Buffer.from(data.subarray(plan.from, plan.from + plan.bodyLength))
  applyPatches(plan, body, 0)
  const member = Buffer.concat([gzipHeader(), body, plan.tail, gzipEnd(crc32(content), content.length)])
  assert.ok(gunzipSync(member).equals(content))
}
