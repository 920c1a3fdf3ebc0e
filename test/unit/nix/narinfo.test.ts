import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { formatHash, parseHash } from '../../../src/nix/hash.ts'
import {
  formatNarInfo,
  formatStoredNarInfo,
  MAX_NARINFO_SIZE,
  MAX_SIGNATURES,
  type NarInfo,
  parseNarInfo,
} from '../../../src/nix/narinfo.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { nixVectors } from '../../support/nix-vectors.ts'

interface Fields {
  storePath: string
  url: string
  compression: string
  fileHash?: string
  fileSize?: number
  narHash: string
  narSize: number
  references: string[]
  deriver?: string
  signatures: string[]
  ca?: string
}

interface Golden {
  name: string
  text: string
  storeDir?: string
  fields: Fields
  canonical?: boolean
}

const vectors = nixVectors<{
  valid: Golden[]
  lenient: Golden[]
  stored: (Golden & { url: string })[]
  invalid: { name: string; text: string }[]
}>('narinfo')

const INVALID = { code: 'ERR_NARINFO_INVALID' }
const example = vectors.valid[0]!

function fieldsOf(info: NarInfo): Fields {
  return {
    storePath: String(info.storePath),
    url: info.url,
    compression: info.compression,
    ...(info.fileHash && { fileHash: formatHash(info.fileHash, 'nix32') }),
    ...(info.fileSize && { fileSize: info.fileSize }),
    narHash: formatHash(info.narHash, 'nix32'),
    narSize: info.narSize,
    references: info.references.map((reference) => reference.baseName),
    ...(info.deriver && { deriver: info.deriver.baseName }),
    signatures: [...info.signatures],
    ...(info.ca && { ca: info.ca }),
  }
}

const parse = ({ text, storeDir }: Golden) => parseNarInfo(text, storeDir === undefined ? {} : { storeDir })

describe('narinfo', () => {
  it('reads the golden cases', () => {
    for (const golden of vectors.valid) assert.deepEqual(fieldsOf(parse(golden)), golden.fields, golden.name)
  })

  it('reads them leniently all the same, but for a missing compression', () => {
    for (const golden of vectors.valid) {
      const { storeDir = '/nix/store' } = golden
      const read = fieldsOf(parseNarInfo(golden.text, { storeDir, lenient: true }))
      const missing = !/^Compression: ./m.test(golden.text)
      assert.deepEqual(read, { ...golden.fields, ...(missing && { compression: 'none' }) }, golden.name)
    }
  })

  it('writes them as Nix does', () => {
    for (const golden of vectors.valid) {
      const text = formatNarInfo(parse(golden))
      if (golden.canonical) assert.equal(text, golden.text, golden.name)
      assert.deepEqual(fieldsOf(parse({ ...golden, text })), golden.fields, golden.name)
    }
  })

  it('reads what the original stored, leniently only', () => {
    for (const { name, text, fields } of vectors.lenient) {
      assert.deepEqual(fieldsOf(parseNarInfo(text, { lenient: true })), fields, name)
      if (name !== 'no newline at the end') assert.throws(() => parseNarInfo(text), INVALID, name)
    }
  })

  it('writes and reads the stored form', () => {
    for (const { name, url, text, fields } of vectors.stored) {
      const read = parseNarInfo(text, { lenient: true })
      assert.deepEqual(fieldsOf(read), fields, name)
      assert.equal(formatStoredNarInfo(read, url), text, name)
    }
  })

  it('refuses the invalid golden cases', () => {
    for (const { name, text } of vectors.invalid) assert.throws(() => parseNarInfo(text), INVALID, name)
  })

  it('says which field is wrong', () => {
    assert.throws(() => parseNarInfo(example.text.replace(/NarSize: .*/, 'NarSize: x')), /NarSize/)
    assert.throws(() => parseNarInfo(example.text.replace(/Deriver: .*/, 'Deriver: x')), /Deriver/)
  })

  it('reads a bounded amount', () => {
    const filler = `X: ${'x'.repeat(MAX_NARINFO_SIZE)}\n`
    assert.throws(() => parseNarInfo(example.text + filler), INVALID)
    const signature = `Sig: ${example.fields.signatures[0]}\n`
    const rest = example.text.replace(signature, '')
    assert.equal(parseNarInfo(rest + signature.repeat(MAX_SIGNATURES)).signatures.length, MAX_SIGNATURES)
    assert.throws(() => parseNarInfo(rest + signature.repeat(MAX_SIGNATURES + 1)), INVALID)
  })

  it('survives any damage: an error of ours, or what is read is written and read alike', () => {
    const texts = fc.constantFrom(...vectors.valid, ...vectors.lenient).map(({ text }) => text)
    const piece = fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.constantFrom('\n', ': ', 'Sig: ', '\nCA: ', ' ', '\r', '\0'),
    )
    fc.assert(
      fc.property(
        texts,
        fc.nat(),
        fc.nat({ max: 8 }),
        piece,
        fc.boolean(),
        (text, at, length, insert, lenient) => {
          const position = at % text.length
          const damaged = text.slice(0, position) + insert + text.slice(position + length)
          let read: NarInfo
          try {
            read = parseNarInfo(damaged, { lenient })
          } catch (error) {
            assert.ok(error instanceof GachixError)
            return
          }
          assert.deepEqual(fieldsOf(parseNarInfo(formatNarInfo(read))), fieldsOf(read))
          const stored = parseNarInfo(formatStoredNarInfo(read, 'nar/x.nar'), { lenient: true })
          const { url, compression, fileHash, fileSize, ...kept } = fieldsOf(read)
          const { url: u, compression: c, fileHash: h, fileSize: s, ...again } = fieldsOf(stored)
          assert.deepEqual(again, kept)
          assert.deepEqual([u, c, h, s], ['nar/x.nar', 'none', kept.narHash, kept.narSize])
          assert.ok(Number.isSafeInteger(read.narSize) && read.narSize > 0)
          assert.deepEqual(parseHash(kept.narHash).digest.length, 32)
        },
      ),
      { numRuns: 400 },
    )
  })
})
