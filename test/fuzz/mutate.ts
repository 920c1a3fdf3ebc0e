import type { Random } from './random.ts'

/** Numbers at which programs go wrong: ends of ranges, signs, sizes of words. */
const INTERESTING = [
  0n,
  1n,
  7n,
  8n,
  63n,
  64n,
  127n,
  128n,
  255n,
  256n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x10000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x1fffffffffffffn,
  0x20000000000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffffffn,
] as const

const WIDTHS = [1, 2, 4, 8] as const

export interface MutateOptions {
  /** Inputs to take pieces of. */
  readonly corpus: readonly Buffer[]
  readonly tokens: readonly Buffer[]
  readonly maxLength: number
}

type Mutation = (data: Buffer, random: Random, options: MutateOptions) => Buffer

/** Makes an input of one of the corpus by a handful of changes. */
export function mutate(random: Random, options: MutateOptions): Buffer {
  let data: Buffer = Buffer.from(random.pick(options.corpus))
  for (let count = random.small(8); count > 0; count--) {
    data = random.pick(MUTATIONS)(data, random, options)
    if (data.length > options.maxLength) data = data.subarray(0, options.maxLength)
  }
  return data
}

const flipBit: Mutation = (data, random) => {
  const at = random.below(data.length)
  if (data.length > 0) data[at]! ^= 1 << random.below(8)
  return data
}

const setByte: Mutation = (data, random) => {
  if (data.length > 0) data[random.below(data.length)] = random.bits()
  return data
}

const addToByte: Mutation = (data, random) => {
  if (data.length > 0)
    data[random.below(data.length)]! += random.below(2) === 0 ? random.small(16) : -random.small(16)
  return data
}

const setInteger: Mutation = (data, random) => {
  const width = random.pick(WIDTHS)
  if (data.length < width) return data
  // formats align their numbers, so half of the places are multiples of the width
  const place = random.below(data.length - width + 1)
  const at = random.below(2) === 0 ? place : place - (place % width)
  writeInteger(data, at, width, random.pick(INTERESTING), random.below(2) === 0)
  return data
}

const addToInteger: Mutation = (data, random) => {
  if (data.length < 4) return data
  const at = random.below(data.length - 3)
  const change = random.below(2) === 0 ? random.small(32) : -random.small(32)
  if (random.below(2) === 0) data.writeUInt32LE((data.readUInt32LE(at) + change) >>> 0, at)
  else data.writeUInt32BE((data.readUInt32BE(at) + change) >>> 0, at)
  return data
}

const insertInteger: Mutation = (data, random) => {
  const width = random.pick(WIDTHS)
  const bytes = Buffer.alloc(width)
  writeInteger(bytes, 0, width, random.pick(INTERESTING), random.below(2) === 0)
  return insert(data, random.below(data.length + 1), bytes)
}

const truncate: Mutation = (data, random) => data.subarray(0, random.below(data.length + 1))

const cutHead: Mutation = (data, random) => data.subarray(random.small(Math.max(1, data.length)))

const remove: Mutation = (data, random) => {
  const at = random.below(data.length + 1)
  return Buffer.concat([
    data.subarray(0, at),
    data.subarray(at + random.small(Math.max(1, data.length - at))),
  ])
}

const duplicate: Mutation = (data, random) => {
  const from = random.below(data.length + 1)
  const block = data.subarray(from, from + random.small(Math.max(1, data.length - from)))
  const times = random.below(8) === 0 ? random.small(64) : 1
  return insert(
    data,
    random.below(data.length + 1),
    Buffer.concat(Array.from({ length: times }, () => block)),
  )
}

const move: Mutation = (data, random) => {
  const from = random.below(data.length + 1)
  const block = Buffer.from(data.subarray(from, from + random.small(Math.max(1, data.length - from))))
  block.copy(data, random.below(data.length + 1))
  return data
}

const splice: Mutation = (data, random, { corpus }) => {
  const other = random.pick(corpus)
  const at = random.below(data.length + 1)
  return Buffer.concat([data.subarray(0, at), other.subarray(random.below(other.length + 1))])
}

const insertFromOther: Mutation = (data, random, { corpus }) => {
  const other = random.pick(corpus)
  const from = random.below(other.length + 1)
  const block = other.subarray(from, from + random.small(Math.max(1, other.length - from)))
  return insert(data, random.below(data.length + 1), block)
}

const insertNoise: Mutation = (data, random) => {
  const noise = Buffer.from(Array.from({ length: random.small(40) }, () => random.bits()))
  return insert(data, random.below(data.length + 1), noise)
}

const insertToken: Mutation = (data, random, { tokens }) =>
  tokens.length === 0 ? data : insert(data, random.below(data.length + 1), random.pick(tokens))

const overwriteToken: Mutation = (data, random, { tokens }) => {
  if (tokens.length > 0) random.pick(tokens).copy(data, random.below(data.length + 1))
  return data
}

const MUTATIONS: readonly Mutation[] = [
  flipBit,
  flipBit,
  setByte,
  addToByte,
  setInteger,
  addToInteger,
  insertInteger,
  truncate,
  cutHead,
  remove,
  duplicate,
  move,
  splice,
  insertFromOther,
  insertNoise,
  insertToken,
  insertToken,
  overwriteToken,
]

function insert(data: Buffer, at: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([data.subarray(0, at), bytes, data.subarray(at)])
}

function writeInteger(data: Buffer, at: number, width: number, value: bigint, little: boolean): void {
  let rest = value
  for (let i = 0; i < width; i++) {
    data[at + (little ? i : width - 1 - i)] = Number(rest & 0xffn)
    rest >>= 8n
  }
}
