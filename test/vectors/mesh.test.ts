/** Our codecs and digests agree with the golden vectors of the mesh. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { HEAD, headMessage, MAX_FRAME_BYTES, MessageSplitter, SIGNED_HEAD } from '../../protocol/index.ts'
import {
  encodeSignedHead,
  headSigner,
  headVerifier,
  peerIdOf,
} from '../../src/peers/exchange/head-signature.ts'
import { HeadTable } from '../../src/peers/exchange/head-table.ts'
import { InventoryLog } from '../../src/peers/inventory/inventory-log.ts'
import { SortedRecords } from '../../src/peers/inventory/sorted-records.ts'
import { hashOf } from '../support/hashes.ts'
import { MESSAGES, plainMessage } from '../support/messages.ts'
import { MESH_VECTORS } from './make-mesh-vectors.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')

function vectors<T>(name: string): T {
  const url = new URL(`../../protocol/vectors/mesh/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')) as T
}

it('the vectors are those that the script makes', () => {
  for (const [name, text] of Object.entries(MESH_VECTORS)) {
    const url = new URL(`../../protocol/vectors/mesh/${name}.json`, import.meta.url)
    assert.equal(readFileSync(url, 'utf8'), text)
  }
})

describe('messages', () => {
  interface Valid {
    message: string
    value: unknown
    hex: string
    later?: string
  }
  const { valid, invalid } = vectors<{
    valid: Valid[]
    invalid: { message: string; hex: string; why: string }[]
  }>('messages')
  it('decode and encode', () => {
    for (const { message, value, hex, later } of valid) {
      const codec = MESSAGES[message]!
      const decoded = codec.decode(bytes(hex))
      assert.deepEqual(plainMessage(decoded), value, message)
      assert.equal(Buffer.from(codec.encode(decoded)).toString('hex'), hex, message)
      if (later !== undefined) assert.deepEqual(plainMessage(codec.decode(bytes(later))), value, message)
    }
    const seen = new Set(valid.map(({ message }) => message))
    const inside = ['package', 'known head', 'peer record']
    assert.deepEqual(
      Object.keys(MESSAGES).filter((name) => !seen.has(name)),
      inside,
      'each has a vector',
    )
  })
  it('are refused', () => {
    for (const { message, hex, why } of invalid) {
      assert.throws(
        () => MESSAGES[message]!.decode(bytes(hex)),
        { code: 'ERR_MESSAGE_INVALID' },
        `${message}: ${why}`,
      )
    }
  })
})

it('heads are signed and verified', () => {
  const { seed, publicKey, peer, valid, invalid } = vectors<{
    seed: string
    publicKey: string
    peer: string
    valid: { hex: string; body: string }[]
    invalid: { hex: string; why: string }[]
  }>('signatures')
  const verify = headVerifier()
  const isGood = (hex: string): boolean => {
    const { body, signature } = SIGNED_HEAD.decode(bytes(hex))
    return verify(HEAD.decode(body).peer, headMessage(body), signature)
  }
  assert.equal(peerIdOf(bytes(publicKey)).toString('hex'), peer)
  for (const { hex } of valid) assert.ok(isGood(hex))
  for (const { hex, why } of invalid) assert.ok(!isGood(hex), why)
  const [{ hex, body }] = valid as [{ hex: string; body: string }]
  assert.equal(
    Buffer.from(encodeSignedHead(HEAD.decode(bytes(body)), headSigner(bytes(seed)))).toString('hex'),
    hex,
  )
})

it('inventories have these fingerprints and digests', () => {
  const expected = vectors<{
    count: number
    fingerprint: string
    emptyFingerprint: string
    digest: { level: number; node: number; values: string }[]
    knownHeads: { heads: { peer: string; epoch: number; seq: number }[]; fingerprint: string }
  }>('inventory')
  const records = new SortedRecords(20, 8)
  for (let number = 0; number < expected.count; number++) records.add(hashOf(number))
  const log = new InventoryLog(InventoryLog.begin(1, records.bytes()))
  assert.equal(log.fingerprint.toString('hex'), expected.fingerprint)
  assert.equal(
    new InventoryLog(InventoryLog.begin(1, Buffer.alloc(0))).fingerprint.toString('hex'),
    expected.emptyFingerprint,
  )
  for (const { level, node, values } of expected.digest) {
    assert.equal(log.digestChildren(level, node).toString('hex'), values, `level ${level}`)
  }
  const table = new HeadTable(
    'n',
    '',
    () => true,
    () => true,
  )
  for (const { peer, epoch, seq } of expected.knownHeads.heads) {
    const rest = { minSeq: 0, count: 0, fingerprint: Buffer.alloc(8), newest: Buffer.alloc(0), time: 1 }
    const body = HEAD.encode({ peer: bytes(peer), network: 'n', epoch, seq, ...rest })
    assert.equal(table.take(SIGNED_HEAD.encode({ body, signature: Buffer.alloc(64) }), '', 1).kind, 'new')
  }
  assert.equal(table.fingerprint.toString('hex'), expected.knownHeads.fingerprint)
})

it('streams are split into messages', () => {
  const { valid, invalid } = vectors<{
    valid: { hex: string; messages: string[] }[]
    invalid: { hex: string; why: string }[]
  }>('framing')
  for (const { hex, messages } of valid) {
    const splitter = new MessageSplitter('frame', MAX_FRAME_BYTES)
    assert.deepEqual(
      splitter.push(bytes(hex)).map((message) => Buffer.from(message).toString('hex')),
      messages,
    )
    assert.ok(splitter.between)
  }
  for (const { hex, why } of invalid) {
    assert.throws(
      () => new MessageSplitter('frame', MAX_FRAME_BYTES).push(bytes(hex)),
      { code: 'ERR_MESSAGE_INVALID' },
      why,
    )
  }
})
