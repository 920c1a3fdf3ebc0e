/** Messages on a stream: the pieces in which it comes make no difference, and those are not looked at again that are said to be copied. */
import assert from 'node:assert/strict'
import { delimit, MessageError, MessageSplitter } from '../../../protocol/index.ts'
import type { FuzzTarget } from '../target.ts'

const LONGEST = 300

/** The first byte is the length of the pieces that the others come in. */
export const target: FuzzTarget = {
  name: 'mesh-stream',
  maxLength: 4096,
  tokens: ['00', '80', '8000', 'ac02', 'ad02', 'ffffffff'].map((hex) => Buffer.from(hex, 'hex')),
  seeds: () => [
    Buffer.concat([
      Buffer.from([1]),
      delimit(Buffer.alloc(300, 1)),
      delimit(Buffer.alloc(0)),
      delimit(Buffer.alloc(3)),
    ]),
    Buffer.concat([
      Buffer.from([200]),
      ...Array.from({ length: 20 }, (_, size) => delimit(Buffer.alloc(10 * size))),
    ]),
  ],

  run(data) {
    const bytes = data.subarray(1)
    const [whole, wholeFails] = split([bytes])
    const size = 1 + (data[0] ?? 0)
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      Buffer.from(bytes.subarray(i * size, (i + 1) * size)),
    )
    const [parts, partsFail] = split(pieces)
    assert.equal(partsFail, wholeFails)
    // a failure hides the messages that came whole in the same piece
    if (wholeFails) assert.ok(parts.length >= whole.length)
    else assert.deepEqual(parts, whole)
    const written = Buffer.concat(parts.map(delimit))
    assert.ok(written.equals(bytes.subarray(0, written.length)), 'messages are what stands there')
  },
}

function split(pieces: readonly Uint8Array[]): [messages: Uint8Array[], fails: boolean] {
  // What was copied may be used for something else.
  const splitter = new MessageSplitter('message', LONGEST, (piece) => piece.fill(0xaa))
  const messages: Uint8Array[] = []
  try {
    for (const piece of pieces) messages.push(...splitter.push(piece))
    return [messages, false]
  } catch (error) {
    if (error instanceof MessageError) return [messages, true]
    throw error
  }
}
