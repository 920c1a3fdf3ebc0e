/**
 * Git's delta format (`gitformat-pack`): two varints with the sizes of base and result, then instructions that copy a
 * stretch of the base or insert bytes of their own. Everything declared is checked before it is used.
 */
import { setImmediate } from 'node:timers/promises'
import { MalformedObjectError } from '../object-errors.ts'

/** The most bytes that the two sizes at a delta's beginning take. */
export const MAX_DELTA_HEADER_SIZE = 20

/** A copy without a size means this many bytes. */
const DEFAULT_COPY = 0x10000
const OUTPUT_SIZE = 256 * 1024
/** After so many full output buffers the event loop gets a turn, because one delta byte can stand for many. */
const BUFFERS_PER_TURN = 16

/** The sizes that a delta declares. */
export interface DeltaHeader {
  readonly baseSize: number
  readonly resultSize: number
  /** Where the instructions begin. */
  readonly length: number
}

/** What a streamed delta copies from. */
export interface DeltaBase {
  readonly size: number
  /** Fills `target` with the bytes from `position` on; the range lies within the base. */
  readInto(target: Buffer, position: number): void
}

/**
 * Decodes the sizes at the beginning of a delta; `undefined` when the bytes end before them.
 *
 * @throws MalformedObjectError when a size is beyond 2^53 - 1
 */
export function readDeltaHeader(delta: Uint8Array): DeltaHeader | undefined {
  let position = 0
  const varint = (): number | undefined => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = delta[position++]
      if (byte === undefined) return undefined
      value += (byte & 0x7f) * factor
      if (!Number.isSafeInteger(value) || factor > Number.MAX_SAFE_INTEGER) {
        throw new MalformedObjectError('its delta declares an impossible size')
      }
      if ((byte & 0x80) === 0) return value
    }
  }
  const baseSize = varint()
  const resultSize = varint()
  if (baseSize === undefined || resultSize === undefined) return undefined
  return { baseSize, resultSize, length: position }
}

/**
 * The object that a delta makes of its base, in memory.
 *
 * @param limit the largest result to allocate for
 * @throws MalformedObjectError when the delta does not fit the base, is damaged, or its result is larger than `limit`
 */
export function applyDelta(base: Buffer, delta: Buffer, limit: number): Buffer {
  const header = readDeltaHeader(delta)
  if (header === undefined) throw cutOff()
  checkBase(header, base.length)
  if (header.resultSize > limit) throw new MalformedObjectError(`its delta declares more than ${limit} bytes`)
  const result = Buffer.allocUnsafe(header.resultSize)
  let written = 0
  let position = header.length
  while (position < delta.length) {
    const code = delta[position]!
    const operation = readOperation(delta, position)
    if (operation === undefined) throw cutOff()
    if (operation.size > result.length - written) throw tooMuch()
    if (code & 0x80) {
      checkCopy(operation, base.length)
      base.copy(result, written, operation.offset, operation.offset + operation.size)
    } else {
      delta.copy(result, written, position + 1, position + 1 + operation.size)
    }
    written += operation.size
    position += operation.length
  }
  if (written !== result.length) throw tooLittle()
  return result
}

/**
 * The object that a delta makes of its base, piece by piece (256 KiB), for deltas and bases of any size.
 *
 * @throws MalformedObjectError when the delta does not fit the base or is damaged; what was yielded is void then
 */
export async function* applyDeltaStream(
  base: DeltaBase,
  delta: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  let pending: Buffer = Buffer.alloc(0)
  let header: DeltaHeader | undefined
  let remaining = 0
  let output = Buffer.allocUnsafe(OUTPUT_SIZE)
  let filled = 0
  let buffers = 0
  for await (const chunk of delta) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    let position = 0
    if (header === undefined) {
      header = readDeltaHeader(pending)
      if (header === undefined) continue
      checkBase(header, base.size)
      remaining = header.resultSize
      position = header.length
    }
    while (position < pending.length) {
      const code = pending[position]!
      const operation = readOperation(pending, position)
      if (operation === undefined) break
      if (operation.size > remaining) throw tooMuch()
      if (code & 0x80) checkCopy(operation, base.size)
      for (let done = 0; done < operation.size; ) {
        const part = Math.min(operation.size - done, OUTPUT_SIZE - filled)
        if (code & 0x80) base.readInto(output.subarray(filled, filled + part), operation.offset + done)
        else pending.copy(output, filled, position + 1 + done, position + 1 + done + part)
        done += part
        filled += part
        if (filled < OUTPUT_SIZE) continue
        yield output
        output = Buffer.allocUnsafe(OUTPUT_SIZE)
        filled = 0
        if (++buffers % BUFFERS_PER_TURN === 0) await setImmediate()
      }
      remaining -= operation.size
      position += operation.length
    }
    pending = pending.subarray(position)
  }
  if (header === undefined || pending.length > 0) throw cutOff()
  if (remaining !== 0) throw tooLittle()
  if (filled > 0) yield output.subarray(0, filled)
}

/** One instruction: how many bytes it makes, where a copy begins, and its own length in the delta. */
interface Operation {
  readonly size: number
  readonly offset: number
  readonly length: number
}

/** Decodes the instruction at `position`; `undefined` when it is not there in full. */
function readOperation(delta: Buffer, position: number): Operation | undefined {
  const code = delta[position]!
  if (code === 0) throw new MalformedObjectError('its delta has an unknown instruction')
  if ((code & 0x80) === 0) {
    return delta.length - position > code ? { size: code, offset: 0, length: code + 1 } : undefined
  }
  let at = position + 1
  let offset = 0
  let size = 0
  // Seven bits say which bytes of a little-endian offset (4) and size (3) follow; the others are zero.
  for (let bit = 0; bit < 7; bit++) {
    if ((code & (1 << bit)) === 0) continue
    const byte = delta[at++]
    if (byte === undefined) return undefined
    if (bit < 4) offset += byte * 2 ** (8 * bit)
    else size += byte << (8 * (bit - 4))
  }
  return { size: size === 0 ? DEFAULT_COPY : size, offset, length: at - position }
}

function checkBase(header: DeltaHeader, size: number): void {
  if (header.baseSize !== size) {
    throw new MalformedObjectError(
      `its delta was made for a base of ${header.baseSize} bytes, not of ${size}`,
    )
  }
}

function checkCopy(operation: Operation, baseSize: number): void {
  if (operation.offset + operation.size > baseSize) {
    throw new MalformedObjectError('its delta copies from outside of its base')
  }
}

function cutOff(): MalformedObjectError {
  return new MalformedObjectError('its delta is cut off')
}

function tooMuch(): MalformedObjectError {
  return new MalformedObjectError('its delta makes more bytes than it declares')
}

function tooLittle(): MalformedObjectError {
  return new MalformedObjectError('its delta makes fewer bytes than it declares')
}
