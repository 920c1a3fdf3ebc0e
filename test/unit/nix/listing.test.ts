import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Listing, ListingBuilder } from '../../../src/nix/listing.ts'
import { NarReader } from '../../../src/nix/nar/reader.ts'
import { type NarTree, writeNarTree } from '../../support/nar-tree.ts'
import { nixVectors } from '../../support/nix-vectors.ts'

const { valid } = nixVectors<{ valid: { name: string; nar: string; listing: Listing }[] }>('listing')

function listingOf(nar: Uint8Array): ListingBuilder {
  const builder = new ListingBuilder()
  const reader = new NarReader(builder)
  reader.push(nar)
  reader.finish()
  return builder
}

const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64')

describe('listing', () => {
  it('is what Nix writes', () => {
    for (const { name, nar, listing } of valid) {
      const text = JSON.stringify(listingOf(Buffer.from(nar, 'base64')))
      assert.equal(text, JSON.stringify(listing), name)
    }
  })

  it('keeps names that mean something to JavaScript', () => {
    const node: NarTree = { type: 'symlink', target: base64('x') }
    const names = ['10', '9', '__proto__', 'constructor', 'toString']
    const entries = names.map((name) => ({ name: base64(name), node }))
    const text = JSON.stringify(listingOf(writeNarTree({ type: 'directory', entries })))
    for (const name of names) assert.ok(text.includes(`"${name}":{"type":"symlink","target":"x"}`), name)
  })

  it('holds what is not UTF-8 as well as text can', () => {
    const tree: NarTree = {
      type: 'directory',
      entries: [{ name: base64('\xff'), node: { type: 'symlink', target: base64('\xfe') } }],
    }
    const { root } = listingOf(writeNarTree(tree)).toJSON()
    assert.ok(root.type === 'directory')
    assert.deepEqual(Object.entries(root.entries), [['\ufffd', { type: 'symlink', target: '\ufffd' }]])
  })

  it('is not to be had before it is complete', () => {
    const builder = new ListingBuilder()
    assert.throws(() => builder.toJSON())
    builder.directoryStart()
    assert.throws(() => builder.toJSON())
    builder.directoryEnd()
    assert.equal(JSON.stringify(builder), '{"version":1,"root":{"type":"directory","entries":{}}}')
  })
})
