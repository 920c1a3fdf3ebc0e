/** What the makers of the mesh's vectors share: protobuf by hand, made-up packages, and one peer with a signed head. */
import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto'

/** A field of wire type 0. */
export function v(number: number, value: number): string {
  return varint(number * 8) + varint(value)
}

/** A field of wire type 2. */
export function b(number: number, hex: string): string {
  return varint(number * 8 + 2) + delimited(hex)
}

export function t(number: number, text: string): string {
  return b(number, Buffer.from(text).toString('hex'))
}

export function varint(value: number): string {
  let rest = BigInt(value)
  let hex = ''
  for (; rest >= 128n; rest /= 128n) hex += (Number(rest % 128n) + 128).toString(16)
  return hex + Number(rest).toString(16).padStart(2, '0')
}

export function delimited(hex: string): string {
  return varint(hex.length / 2) + hex
}

export const hashPart = (number: number): string => hash('sha1', `package ${number}`)
export const xor = (list: readonly string[], start: number, end: number): string =>
  list
    .reduce((sum, hex) => sum ^ BigInt(`0x${hex.slice(2 * start, 2 * end)}`), 0n)
    .toString(16)
    .padStart(2 * (end - start), '0')

export const seed = Buffer.alloc(32, 7)
export const key = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
  format: 'der',
  type: 'pkcs8',
})
export const publicKey = createPublicKey(key)
  .export({ format: 'der', type: 'spki' })
  .subarray(-32)
  .toString('hex')
export const peer = `002408011220${publicKey}`

export const three = [1, 2, 3].map(hashPart)
export const time = 1_790_000_000_000
export const headValue = {
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
export const headStart = b(1, peer) + t(2, 'team') + v(3, time - 5000)
export const headEnd = b(7, headValue.fingerprint) + b(8, headValue.newest) + v(9, time)
export const head = headStart + v(4, 7) + v(5, 2) + v(6, 3) + headEnd
export const headNext = `${head}${t(30, 'of a later version')}${v(31, 5)}`
export const signature = (body: string): string =>
  sign(null, Buffer.concat([Buffer.from('gachix-head:1\n'), Buffer.from(body, 'hex')]), key).toString('hex')
export const signed = (body: string): string => b(1, body) + b(2, signature(body))

export const state = v(1, time) + v(2, 9) + v(3, 4) + v(4, 3) + b(5, headValue.fingerprint)
export const stateValue = { epoch: time, seq: 9, minSeq: 4, count: 3, fingerprint: headValue.fingerprint }
export const sortedThree = [...three].sort()
export const oid = (digit: string): string => digit.repeat(40)
export const value16 = Array.from({ length: 16 }, (_, index) => `0000000${index.toString(16)}`).join('')
