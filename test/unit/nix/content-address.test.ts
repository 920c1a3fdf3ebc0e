import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  checkContentAddress,
  contentAddressedPath,
  formatContentAddress,
  parseContentAddress,
} from '../../../src/nix/content-address.ts'
import { parseHash } from '../../../src/nix/hash.ts'
import type { PathInfo } from '../../../src/nix/path-info.ts'
import { StorePath } from '../../../src/nix/store-path.ts'
import { nixVectors } from '../../support/nix-vectors.ts'

interface Golden {
  storePath: string
  ca: string
  narHash: string
  narSize: number
  references: string[]
}

const vectors = nixVectors<{
  valid: Golden[]
  mismatch: (Golden & { why: string })[]
  invalid: { ca: string; why: string }[]
}>('content-address')

function infoOf(golden: Golden): PathInfo {
  return {
    storePath: StorePath.parse(golden.storePath),
    narHash: parseHash(golden.narHash),
    narSize: golden.narSize,
    references: golden.references.map((reference) => StorePath.fromBaseName(reference)),
    signatures: [],
    ca: golden.ca,
  }
}

describe('content addresses', () => {
  it('make the paths that Nix makes', () => {
    for (const golden of vectors.valid) {
      const info = infoOf(golden)
      const others = info.references.filter((reference) => String(reference) !== golden.storePath)
      const self = others.length < info.references.length
      const ca = parseContentAddress(golden.ca)
      const path = contentAddressedPath(ca, info.storePath.name, others.reverse(), '/nix/store', self)
      assert.equal(String(path), golden.storePath)
      assert.equal(formatContentAddress(ca), golden.ca)
      assert.equal(checkContentAddress(info), 'ok')
    }
  })

  it('make the example of the protocol notes', () => {
    const hash = parseHash('sha256:10vk3rc72m9627zkd8jg812xa4fjg36ql81v5k3spzb9ggv5yizj')
    const path = contentAddressedPath({ method: 'nar', hash }, 'g.txt', [], '/nix/store')
    assert.equal(String(path), '/nix/store/l58sc7a1v3gj8pk3gg2gjvb2xikd5bai-g.txt')
    const elsewhere = contentAddressedPath({ method: 'nar', hash }, 'g.txt', [], '/srv/store')
    assert.notEqual(elsewhere?.hash, path?.hash)
  })

  it('are told from a path that is not theirs', () => {
    for (const golden of vectors.mismatch) {
      assert.equal(checkContentAddress(infoOf(golden)), 'mismatch', golden.why)
    }
  })

  it('may be absent', () => {
    const { ca: _, ...info } = infoOf(vectors.valid[0]!)
    assert.equal(checkContentAddress(info), 'absent')
  })

  it('cannot have references that their method has not', () => {
    const other = new StorePath('0'.repeat(32), 'x')
    const sha256 = parseHash(vectors.valid[0]!.narHash)
    const sha1 = parseHash('sha1:iq6kazq21q8q50am3p6ik40hz18510bq')
    const dir = '/nix/store'
    assert.equal(contentAddressedPath({ method: 'flat', hash: sha256 }, 'x', [other], dir), undefined)
    assert.equal(contentAddressedPath({ method: 'nar', hash: sha1 }, 'x', [other], dir), undefined)
    assert.equal(contentAddressedPath({ method: 'nar', hash: sha1 }, 'x', [], dir, true), undefined)
    assert.equal(contentAddressedPath({ method: 'git', hash: sha1 }, 'x', [other], dir), undefined)
    assert.equal(contentAddressedPath({ method: 'text', hash: sha256 }, 'x', [], dir, true), undefined)
    assert.ok(contentAddressedPath({ method: 'git', hash: sha1 }, 'x', [], dir))
  })

  it('are refused when malformed', () => {
    for (const { ca, why } of vectors.invalid) {
      assert.throws(() => parseContentAddress(ca), { code: 'ERR_CONTENT_ADDRESS_INVALID' }, why)
    }
  })

  it('are read in every form of the hash and written in nix32', () => {
    const expected = 'fixed:r:sha256:10vk3rc72m9627zkd8jg812xa4fjg36ql81v5k3spzb9ggv5yizj'
    for (const digest of [
      'f2475ff67b69fdabc72c3b208acd78d211d545404fa236ff11265571581e7383',
      '8kdf9ntp/avHLDsgis140hHVRUBPojb/ESZVcVgec4M=',
    ]) {
      assert.equal(formatContentAddress(parseContentAddress(`fixed:r:sha256:${digest}`)), expected)
    }
    const git = `fixed:git:sha1:${'0'.repeat(32)}`
    assert.equal(formatContentAddress(parseContentAddress(git)), git)
  })
})
