/** Messages of the mesh: what is accepted has one encoding, and reads as the same whatever is unknown in it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { MessageError } from '../../../protocol/index.ts'
import { MESSAGES, plainMessage } from '../../support/messages.ts'
import type { FuzzTarget } from '../target.ts'

const NAMES = Object.keys(MESSAGES)
const VECTORS = new URL('../../../protocol/vectors/mesh/messages.json', import.meta.url)

/** The first byte says which message the others are tried as. */
export const target: FuzzTarget = {
  name: 'mesh-messages',
  tokens: ['0a', '10', '12', '7a', '8001', 'ffffffffffffff0f', '00', '7a020802'].map((hex) =>
    Buffer.from(hex, 'hex'),
  ),

  seeds: () => {
    const { valid } = JSON.parse(readFileSync(VECTORS, 'utf8')) as {
      valid: { message: string; hex: string }[]
    }
    return valid.map(({ message, hex }) =>
      Buffer.concat([Buffer.from([NAMES.indexOf(message)]), Buffer.from(hex, 'hex')]),
    )
  },

  run(data) {
    const codec = MESSAGES[NAMES[(data[0] ?? 0) % NAMES.length]!]!
    const bytes = data.subarray(1)
    const value = decoded(codec, bytes)
    if (value === undefined) return
    const encoded = codec.encode(value)
    assert.deepEqual(plainMessage(codec.decode(encoded)), plainMessage(value))
    assert.ok(encoded.length <= bytes.length, 'nothing is written that was not read')
    if (encoded.length === bytes.length) assert.ok(bytes.equals(encoded), 'there is one encoding')
  },
}

function decoded(codec: (typeof MESSAGES)[string], bytes: Uint8Array): unknown {
  try {
    return codec.decode(bytes)
  } catch (error) {
    if (error instanceof MessageError) return undefined
    throw error
  }
}
