/**
 * Makes `protocol/vectors/mesh/`. It shares no code with `protocol/` or `src/`: what it writes follows SPEC.md by hand, so that a mistake in our
 * codecs is not in the vectors as well. `node test/vectors/make-mesh-vectors.ts` writes the files; a test compares them with what this makes.
 */
import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'

/** A field of wire type 0. */
function v(number: number, value: number): string {
  return varint(number * 8) + varint(value)
}

/** A field of wire type 2. */
function b(number: number, hex: string): string {
  return varint(number * 8 + 2) + delimited(hex)
}

function t(number: number, text: string): string {
  return b(number, Buffer.from(text).toString('hex'))
}

function varint(value: number): string {
  let rest = BigInt(value)
  let hex = ''
  for (; rest >= 128n; rest /= 128n) hex += (Number(rest % 128n) + 128).toString(16)
  return hex + Number(rest).toString(16).padStart(2, '0')
}

function delimited(hex: string): string {
  return varint(hex.length / 2) + hex
}

const hashPart = (number: number): string => hash('sha1', `package ${number}`)
const xor = (list: readonly string[], start: number, end: number): string =>
  list
    .reduce((sum, hex) => sum ^ BigInt(`0x${hex.slice(2 * start, 2 * end)}`), 0n)
    .toString(16)
    .padStart(2 * (end - start), '0')

// --- identity, a head ---------------------------------------------------------------------------------------------

const seed = Buffer.alloc(32, 7)
const key = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
  format: 'der',
  type: 'pkcs8',
})
const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex')
const peer = `002408011220${publicKey}`

const three = [1, 2, 3].map(hashPart)
const time = 1_790_000_000_000
const headValue = {
  peer,
  network: 'team',
  epoch: time - 5000,
  seq: 7,
  minSeq: 2,
  count: 3,
  fingerprint: xor(three, 0, 8),
  newest: three[2]!,
  time,
}
const headStart = b(1, peer) + t(2, 'team') + v(3, time - 5000)
const headEnd = b(7, headValue.fingerprint) + b(8, headValue.newest) + v(9, time)
const head = headStart + v(4, 7) + v(5, 2) + v(6, 3) + headEnd
const headNext = `${head}${t(30, 'of a later version')}${v(31, 5)}`
const signature = (body: string): string =>
  sign(null, Buffer.concat([Buffer.from('gachix-head:1\n'), Buffer.from(body, 'hex')]), key).toString('hex')
const signed = (body: string): string => b(1, body) + b(2, signature(body))

const state = v(1, time) + v(2, 9) + v(3, 4) + v(4, 3) + b(5, headValue.fingerprint)
const stateValue = { epoch: time, seq: 9, minSeq: 4, count: 3, fingerprint: headValue.fingerprint }
const sortedThree = [...three].sort()
const oid = (digit: string): string => digit.repeat(40)
const value16 = Array.from({ length: 16 }, (_, index) => `0000000${index.toString(16)}`).join('')

const messages = {
  description:
    'messages: hex is the one encoding of value; bytes are hexadecimal, absent fields are left out of value; later is an encoding with fields of a later version, which reads as the same value',
  valid: [
    { message: 'head', value: headValue, hex: head, later: headNext },
    { message: 'signed head', value: { body: head, signature: signature(head) }, hex: signed(head) },
    {
      message: 'refusal',
      value: { code: 2, reason: 'later' },
      hex: v(1, 2) + t(2, 'later'),
      later: v(1, 2) + t(2, 'later') + v(3, 1),
    },
    { message: 'refusal', value: {}, hex: '' },
    {
      message: 'hello',
      value: {
        network: 'a',
        minor: 3,
        oldestMinor: 1,
        features: ['bulk', 'zstd'],
        agent: 'gachix/1',
        head: '0a00',
        yours: '0b',
      },
      hex:
        t(1, 'a') +
        v(2, 3) +
        v(3, 1) +
        t(4, 'bulk') +
        t(4, 'zstd') +
        t(5, 'gachix/1') +
        b(6, '0a00') +
        b(7, '0b'),
    },
    {
      message: 'hello',
      value: { network: 'a', minor: 1, oldestMinor: 1 },
      hex: t(1, 'a') + v(2, 1) + v(3, 1),
    },
    { message: 'heads request', value: { fingerprint: '0102030405060708' }, hex: b(1, '0102030405060708') },
    {
      message: 'heads request',
      value: { heads: ['0a', '0b'], want: [peer] },
      hex: b(2, '0a') + b(2, '0b') + b(3, peer),
    },
    {
      message: 'heads answer',
      value: { differs: true, known: [{ peer, epoch: time, seq: 300 }], heads: ['0c'] },
      hex: v(1, 1) + b(2, b(1, peer) + v(2, time) + v(3, 300)) + b(3, '0c'),
    },
    { message: 'heads answer', value: {}, hex: '' },
    {
      message: 'inventory request',
      value: { epoch: time, log: { after: 8 } },
      hex: v(1, time) + b(2, v(1, 8)),
    },
    { message: 'inventory request', value: { epoch: time, log: {} }, hex: v(1, time) + b(2, '') },
    { message: 'inventory request', value: { snapshot: {} }, hex: b(3, '') },
    {
      message: 'inventory request',
      value: { epoch: 1, snapshot: { after: three[0] } },
      hex: v(1, 1) + b(3, b(1, three[0]!)),
    },
    {
      message: 'inventory request',
      value: { epoch: 1, digest: { level: 1, nodes: '0000000f' } },
      hex: v(1, 1) + b(4, v(1, 1) + b(2, '0000000f')),
    },
    {
      message: 'inventory request',
      value: { epoch: 1, buckets: { buckets: '0000ffff' } },
      hex: v(1, 1) + b(5, b(1, '0000ffff')),
    },
    {
      message: 'inventory answer',
      value: { ...stateValue, log: { start: 7, changes: `01${three[0]}00${three[1]}` } },
      hex: state + b(6, v(1, 7) + b(2, `01${three[0]}00${three[1]}`)),
    },
    {
      message: 'inventory answer',
      value: { ...stateValue, snapshot: { hashes: sortedThree.join(''), more: true } },
      hex: state + b(7, b(1, sortedThree.join('')) + v(2, 1)),
    },
    {
      message: 'inventory answer',
      value: { ...stateValue, digest: { values: value16 } },
      hex: state + b(8, b(1, value16)),
    },
    {
      message: 'inventory answer',
      value: { ...stateValue, buckets: { listed: 2, hashes: sortedThree.join('') } },
      hex: state + b(9, v(1, 2) + b(2, sortedThree.join(''))),
    },
    {
      message: 'inventory answer',
      value: { ...stateValue, refusal: { code: 6 } },
      hex: state + b(15, v(1, 6)),
    },
    { message: 'have request', value: { hashes: three.join('') }, hex: b(1, three.join('')) },
    {
      message: 'have answer',
      value: {
        packages: [
          { hash: three[0], narinfo: oid('a'), commit: oid('b') },
          { hash: three[1], narinfo: oid('c') },
        ],
      },
      hex: b(1, b(1, three[0]!) + b(2, oid('a')) + b(3, oid('b'))) + b(1, b(1, three[1]!) + b(2, oid('c'))),
    },
    { message: 'narinfos request', value: { hashes: three.join('') }, hex: b(1, three.join('')) },
    {
      message: 'narinfo',
      value: { hash: three[0], blob: '53746f7265506174683a0a' },
      hex: b(1, three[0]!) + b(2, '53746f7265506174683a0a'),
    },
    {
      message: 'want',
      value: { wants: oid('1'), haves: oid('2') + oid('3'), omitBlobs: true },
      hex: b(1, oid('1')) + b(2, oid('2') + oid('3')) + v(3, 1),
    },
    { message: 'want', value: { wants: oid('1') }, hex: b(1, oid('1')) },
    { message: 'frame', value: { data: '00ff' }, hex: b(1, '00ff') },
    {
      message: 'frame',
      value: { end: { length: 2, sha256: hash('sha256', Buffer.from([0, 255])) } },
      hex: b(2, v(1, 2) + b(2, hash('sha256', Buffer.from([0, 255])))),
    },
    { message: 'frame', value: { refusal: { code: 3, reason: 'gone' } }, hex: b(3, v(1, 3) + t(2, 'gone')) },
    { message: 'credit', value: { bytes: 2 * 1024 * 1024 }, hex: v(1, 2 * 1024 * 1024) },
    { message: 'peers request', value: { limit: 8 }, hex: v(1, 8) },
    {
      message: 'peers answer',
      value: { peers: [{ peer, addresses: ['0401020304060fca'] }] },
      hex: b(1, b(1, peer) + b(2, '0401020304060fca')),
    },
  ],
  invalid: [
    { message: 'head', hex: head.slice(0, -2), why: 'cut off' },
    { message: 'head', hex: headStart + v(5, 2) + v(4, 7) + v(6, 3) + headEnd, why: 'fields out of order' },
    {
      message: 'head',
      hex: headStart + v(4, 7) + v(4, 7) + v(5, 2) + v(6, 3) + headEnd,
      why: 'a field twice',
    },
    {
      message: 'head',
      hex: `${headStart}2087${'00'}${v(5, 2)}${v(6, 3)}${headEnd}`,
      why: 'a number that is not in its shortest form',
    },
    {
      message: 'head',
      hex: headStart + v(4, 7) + v(5, 0) + v(6, 3) + headEnd,
      why: 'a default that is written out',
    },
    { message: 'head', hex: headStart + b(4, '07') + v(5, 2) + v(6, 3) + headEnd, why: 'another wire type' },
    { message: 'head', hex: headStart + v(4, 7) + v(5, 8) + v(6, 3) + headEnd, why: 'minSeq above seq' },
    {
      message: 'head',
      hex: headStart + v(4, 7) + v(5, 2) + v(6, 8) + headEnd,
      why: 'more hashes than changes',
    },
    { message: 'head', hex: b(1, peer) + t(2, 'team') + v(4, 7) + v(6, 3) + headEnd, why: 'no epoch' },
    {
      message: 'head',
      hex: b(1, peer) + t(2, 'Team') + v(3, 1) + v(4, 7) + v(6, 3) + headEnd,
      why: 'not the name of a network',
    },
    { message: 'head', hex: t(2, 'team') + v(3, 1) + v(4, 7) + v(6, 3) + headEnd, why: 'no peer' },
    { message: 'head', hex: `${head}${varint(30 * 8 + 3)}`, why: 'an unknown group' },
    { message: 'head', hex: `${head}${varint(30 * 8 + 2)}05aabb`, why: 'an unknown field beyond the end' },
    { message: 'signed head', hex: b(1, head) + b(2, 'ab'.repeat(63)), why: 'a signature of 63 bytes' },
    {
      message: 'signed head',
      hex: b(1, '00'.repeat(16 * 1024)) + b(2, 'ab'.repeat(64)),
      why: 'more than 16 KiB',
    },
    { message: 'refusal', hex: t(2, 'a\nb'), why: 'a control character' },
    { message: 'refusal', hex: b(2, 'c328'), why: 'not UTF-8' },
    { message: 'refusal', hex: t(2, 'x'.repeat(201)), why: 'too long a text' },
    { message: 'hello', hex: t(1, 'a') + v(2, 1) + v(3, 2), why: 'the oldest version above the newest' },
    {
      message: 'hello',
      hex: t(1, 'a') + v(2, 1) + v(3, 1) + t(4, 'b') + t(4, 'a'),
      why: 'features out of order',
    },
    { message: 'heads request', hex: '', why: 'says nothing' },
    { message: 'heads answer', hex: v(1, 2), why: 'a flag of 2' },
    { message: 'heads answer', hex: v(1, 0), why: 'a flag of 0, which is its default' },
    { message: 'inventory request', hex: v(1, 1), why: 'no question' },
    { message: 'inventory request', hex: v(1, 1) + b(2, '') + b(3, ''), why: 'two questions' },
    {
      message: 'inventory request',
      hex: v(1, 1) + b(4, v(1, 4) + b(2, '0000')),
      why: 'a level below the last one',
    },
    {
      message: 'inventory request',
      hex: v(1, 1) + b(4, v(1, 1) + b(2, '0010')),
      why: 'a node that is not there',
    },
    { message: 'inventory request', hex: v(1, 1) + b(5, b(1, '00020001')), why: 'buckets out of order' },
    { message: 'inventory answer', hex: state, why: 'no answer' },
    {
      message: 'inventory answer',
      hex: state + b(6, v(1, 7) + b(2, `02${three[0]}`)),
      why: 'an unknown operation',
    },
    {
      message: 'inventory answer',
      hex: state + b(6, v(1, 9) + b(2, `01${three[0]}`)),
      why: 'changes beyond seq',
    },
    { message: 'inventory answer', hex: state + b(6, v(1, 7) + b(2, '01aabb')), why: 'a change of 3 bytes' },
    {
      message: 'inventory answer',
      hex: state + b(7, b(1, [...sortedThree].reverse().join(''))),
      why: 'hashes out of order',
    },
    {
      message: 'inventory answer',
      hex: state + b(7, v(2, 1)),
      why: 'an empty page that is not the last one',
    },
    { message: 'inventory answer', hex: state + b(8, b(1, '00')), why: 'values of a part of a node' },
    { message: 'have request', hex: '', why: 'asks for nothing' },
    { message: 'have request', hex: b(1, three[0]!.repeat(1001)), why: 'too many hashes' },
    { message: 'have answer', hex: b(1, b(1, three[0]!)), why: 'a package without a narinfo' },
    { message: 'want', hex: b(2, oid('1')), why: 'wants nothing' },
    { message: 'want', hex: b(1, oid('1').slice(2)), why: 'an id of 19 bytes' },
    { message: 'frame', hex: '', why: 'nothing in it' },
    { message: 'frame', hex: b(1, ''), why: 'no data in it' },
    { message: 'frame', hex: b(1, '00') + b(3, v(1, 1)), why: 'two things' },
    { message: 'frame', hex: b(1, '00'.repeat(60 * 1024 - 15)), why: 'too much data' },
    { message: 'credit', hex: '', why: 'no credit' },
    { message: 'credit', hex: v(1, 2 * 1024 * 1024 + 1), why: 'more than a window' },
    { message: 'peers answer', hex: b(1, b(2, '04')), why: 'a record without a peer' },
  ],
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
