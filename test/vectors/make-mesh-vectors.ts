/**
 * Makes `protocol/vectors/mesh/`. It shares no code with `protocol/` or `src/`: what it writes follows SPEC.md by hand, so that a mistake in our
 * codecs is not in the vectors as well. `node test/vectors/make-mesh-vectors.ts` writes the files; a test compares them with what this makes.
 */
import { hash, sign } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { INVALID_MESSAGES } from './mesh-invalid.ts'
import {
  b,
  delimited,
  hashPart,
  head,
  headNext,
  key,
  peer,
  publicKey,
  seed,
  signature,
  signed,
  time,
  v,
  xor,
} from './mesh-parts.ts'
import { VALID_MESSAGES } from './mesh-valid.ts'

const messages = {
  description:
    'messages: hex is the one encoding of value; bytes are hexadecimal, absent fields are left out of value; later is an encoding with fields of a later version, which reads as the same value',
  valid: VALID_MESSAGES,
  invalid: INVALID_MESSAGES,
}

const forged = signed(head).slice(0, -2) + (signed(head).endsWith('00') ? '01' : '00')
const signatures = {
  description:
    'signed heads of the peer whose Ed25519 seed is given; the signature is over the text gachix-head:1, a line feed, and the bytes of the body as they are',
  seed: seed.toString('hex'),
  publicKey,
  peer,
  valid: [
    { hex: signed(head), body: head },
    { hex: signed(headNext), body: headNext },
  ],
  invalid: [
    { hex: forged, why: 'a bit of the signature is another one' },
    { hex: b(1, headNext) + b(2, signature(head)), why: 'the signature is over the known fields only' },
    {
      hex: b(1, head) + b(2, sign(null, Buffer.from(head, 'hex'), key).toString('hex')),
      why: 'the signature is over the body only',
    },
  ],
}

const many = Array.from({ length: 1000 }, (_, number) => hashPart(number))
const node = (level: number, index: number): string => {
  const below = many.filter((hex) => Number.parseInt(hex.slice(0, 4), 16) >> (16 - 4 * level) === index)
  return xor(below, 4, 8)
}
const children = (level: number, index: number): string =>
  Array.from({ length: 16 }, (_, child) => node(level + 1, 16 * index + child)).join('')
const inventory = {
  description:
    'fingerprint and digest of the set of SHA-1("package 0") to SHA-1("package 999"); values are those of the 16 children of a node',
  first: hashPart(0),
  count: 1000,
  fingerprint: xor(many, 0, 8),
  emptyFingerprint: '0000000000000000',
  digest: [
    [0, 0],
    [1, 3],
    [2, 255],
    [3, 1234],
  ].map(([level, index]) => ({ level, node: index, values: children(level!, index!) })),
  knownHeads: {
    description:
      'fingerprint of known heads: XOR of the first 8 bytes of SHA-256(peer id, epoch, seq), both numbers as 8 bytes big endian',
    heads: [
      { peer, epoch: time, seq: 300 },
      { peer: `${peer.slice(0, -2)}00`, epoch: 1, seq: 0 },
    ],
    fingerprint: xor(
      [[peer, time, 300] as const, [`${peer.slice(0, -2)}00`, 1, 0] as const].map(([id, epoch, seq]) => {
        const numbers = [epoch, seq].map((number) => number.toString(16).padStart(16, '0')).join('')
        return hash('sha256', Buffer.from(id + numbers, 'hex'))
      }),
      0,
      8,
    ),
  },
}

const data = Buffer.alloc(300, 0xab)
const frames = [b(1, data.toString('hex')), b(2, v(1, 300) + b(2, hash('sha256', data)))]
const framing = {
  description:
    'bytes on a stream, and the messages in them; a transfer of 300 bytes 0xab; lengths that end a stream of frames (at most 61440 bytes each)',
  valid: [
    {
      hex: delimited('') + delimited('aa') + delimited('bb'.repeat(200)),
      messages: ['', 'aa', 'bb'.repeat(200)],
    },
    { hex: frames.map(delimited).join(''), messages: frames },
  ],
  invalid: [
    { hex: '8000', why: 'a length that is not in its shortest form' },
    { hex: '81e003', why: 'a frame of 61441 bytes' },
    { hex: 'ffffffff0f', why: 'a length of 5 bytes' },
  ],
}

/** The files by name, as text. */
export const MESH_VECTORS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({ messages, signatures, inventory, framing }).map(([name, vectors]) => [
    name,
    `${JSON.stringify(vectors, null, 1)}\n`,
  ]),
)

if (import.meta.main) {
  const folder = new URL('../../protocol/vectors/mesh/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(MESH_VECTORS))
    writeFileSync(new URL(`${name}.json`, folder), text)
}
