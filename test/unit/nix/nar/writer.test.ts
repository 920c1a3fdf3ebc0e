import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { NarFramer, paddingOf } from '../../../../src/nix/nar/writer.ts'
import { type NarTree, writeNarTree } from '../../../support/nar-tree.ts'
import { nixVectors } from '../../../support/nix-vectors.ts'

const { valid } = nixVectors<{ valid: { name: string; nar: string; tree: NarTree }[] }>('nar')

describe('NAR framer', () => {
  it('writes the golden cases', () => {
    for (const { name, nar, tree } of valid) {
      assert.equal(writeNarTree(tree).toString('base64'), nar, name)
    }
  })

  it('writes the example of the protocol notes', () => {
    const contents = Buffer.from('hello gachix').toString('base64')
    const nar = writeNarTree({ type: 'regular', executable: false, contents })
    assert.equal(nar.length, 128)
    const digest = createHash('sha256').update(nar).digest('hex')
    assert.equal(digest, 'f2475ff67b69fdabc72c3b208acd78d211d545404fa236ff11265571581e7383')
  })

  it('pads to the next multiple of 8', () => {
    assert.deepEqual([0, 1, 7, 8, 9, 2 ** 40 + 1].map(paddingOf), [0, 7, 1, 0, 7, 7])
  })

  it('hands out what is collected and starts anew', () => {
    const framer = new NarFramer()
    assert.equal(framer.take().length, 0)
    framer.start()
    assert.equal(framer.length, 24)
    const first = framer.take()
    assert.equal(framer.length, 0)
    framer.symlink(Buffer.from('target'))
    const second = framer.take()
    assert.equal(first.toString('latin1', 8, 21), 'nix-archive-1')
    assert.equal(second.toString('latin1', 8, 9), '(')
    framer.start()
    assert.equal(second.toString('latin1', 8, 9), '(')
  })

  it('grows as needed', () => {
    const framer = new NarFramer()
    const target = Buffer.alloc(4095, 'x')
    for (let count = 0; count < 100; count++) framer.symlink(target)
    assert.equal(framer.length, 100 * (16 + 16 + 16 + 16 + 8 + 4096 + 16))
    assert.equal(framer.take().length, 100 * 4184)
  })

  it('writes sizes beyond 32 bits', () => {
    const framer = new NarFramer()
    framer.fileOpen(false, 2 ** 53 - 1)
    assert.equal(framer.take().readBigUInt64LE(16 + 16 + 16 + 16), 2n ** 53n - 1n)
  })
})
