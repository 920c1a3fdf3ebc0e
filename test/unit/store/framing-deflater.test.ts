import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import * as fc from 'fast-check'
import { FINAL_BLOCK } from '../../../src/git/deflate/chunk.ts'
import { storedBlocks } from '../../../src/git/splice/stored.ts'
import { NarFramer } from '../../../src/nix/nar/writer.ts'
import { FramingDeflater } from '../../../src/store/framing-deflater.ts'

interface File {
  readonly name: string
  readonly size: number
  readonly links: number
}

const file: fc.Arbitrary<File> = fc.record({
  name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
  size: fc.oneof(fc.nat(40), fc.nat(5000), fc.integer({ min: 32_000, max: 33_500 }), fc.nat(70_000)),
  links: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(30) }),
})

/** Framing and contents of one directory of files, by turns. */
function piecesOf(files: readonly File[]): { framing: Buffer; content: Buffer }[] {
  const framer = new NarFramer()
  framer.start()
  framer.directoryOpen()
  const pieces = files.map(({ name, size, links }, i) => {
    for (let link = 0; link < links; link++) {
      framer.entryOpen(Buffer.from(`${name}${link}`))
      framer.symlink(Buffer.from(`../../lib/${name}/${link}`))
      framer.entryClose()
    }
    framer.entryOpen(Buffer.from(name))
    framer.fileOpen(i % 3 === 0, size)
    const framing = framer.take()
    framer.fileClose(size)
    framer.entryClose()
    return { framing, content: Buffer.alloc(size, `${i}-${name}`) }
  })
  framer.directoryClose()
  return [...pieces, { framing: framer.take(), content: Buffer.alloc(0) }]
}

describe('FramingDeflater', () => {
  it('gives what inflates to the framing between the files, and from every string that stands alone', () => {
    fc.assert(
      fc.property(fc.array(file, { maxLength: 80 }), (files) => {
        const pieces = piecesOf(files)
        const deflater = new FramingDeflater()
        const deflated = pieces.map(({ framing, content }) => deflater.next(framing, content.length))
        assert.ok(deflated[0]!.alone)
        const starts = deflated.flatMap(({ alone }, i) => (alone ? [i] : []))
        for (const start of [0, starts.at(-1)!, starts[starts.length >> 1]!]) {
          const stream = pieces
            .slice(start)
            .flatMap(({ content }, i) => [deflated[start + i]!.bytes, storedBlocks(content)])
          const expected = pieces.slice(start).flatMap(({ framing, content }) => [framing, content])
          assert.ok(
            inflateRawSync(Buffer.concat([...stream, FINAL_BLOCK])).equals(Buffer.concat(expected)),
            `from ${start}`,
          )
        }
      }),
      { numRuns: 100 },
    )
  })

  it('takes a fraction of the framing where files are small, and begins anew now and then', () => {
    const files = Array.from({ length: 1000 }, (_, i) => ({
      name: `header-${i}.h`,
      size: 1000 + i,
      links: 0,
    }))
    const deflater = new FramingDeflater()
    const pieces = piecesOf(files).map(({ framing, content }) => ({
      framing,
      ...deflater.next(framing, content.length),
    }))
    const sum = (of: (piece: (typeof pieces)[number]) => number): number =>
      pieces.reduce((total, piece) => total + of(piece), 0)
    const share = sum(({ bytes }) => bytes.length) / sum(({ framing }) => framing.length)
    assert.ok(share < 1 / 3, `${share}`)
    const alone = sum((piece) => Number(piece.alone))
    assert.ok(alone >= 1000 / 65 && alone < 30, `${alone} stand alone`)
  })
})
