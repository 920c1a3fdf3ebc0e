import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { NarFormatError } from '../../../../src/nix/errors.ts'
import { NarReader } from '../../../../src/nix/nar/reader.ts'
import { NarFramer } from '../../../../src/nix/nar/writer.ts'
import {
  cut,
  cutLengths,
  type NarTree,
  narTrees,
  readNarTree,
  TreeBuilder,
  writeNarTree,
} from '../../../support/nar-tree.ts'
import { nixVectors } from '../../../support/nix-vectors.ts'

const vectors = nixVectors<{
  valid: { name: string; nar: string; sha256: string; tree: NarTree }[]
  invalid: { name: string; nar: string; offset: number }[]
  trailing: { name: string; nar: string; consumed: number }[]
}>('nar')

const decode = (nar: string) => Buffer.from(nar, 'base64')
const example = decode(vectors.valid[0]!.nar)

/** Where reading fails, or `undefined` where it succeeds. */
function failure(
  nar: Uint8Array,
  lengths: readonly number[],
): { offset: number; message: string } | undefined {
  try {
    readNarTree(cut(nar, lengths))
  } catch (error) {
    if (error instanceof NarFormatError) return { offset: error.offset, message: error.message }
    throw error
  }
  return undefined
}

describe('NAR reader', () => {
  it('reads the golden cases, whole, byte by byte and in odd pieces', () => {
    for (const { name, nar, sha256, tree } of vectors.valid) {
      const bytes = decode(nar)
      assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256, name)
      for (const lengths of [[bytes.length], [1], [7], [13, 1, 40]]) {
        assert.deepEqual(readNarTree(cut(bytes, lengths)), tree, name)
      }
    }
  })

  it('refuses the invalid golden cases where they are wrong, however they are cut', () => {
    for (const { name, nar, offset } of vectors.invalid) {
      const bytes = decode(nar)
      const whole = failure(bytes, [Math.max(bytes.length, 1)])
      assert.equal(whole?.offset, offset, `${name}: ${whole?.message}`)
      for (const lengths of [[1], [5], [64, 3]]) assert.deepEqual(failure(bytes, lengths), whole, name)
    }
  })

  it('stops at the end and says how much it took', () => {
    for (const { name, nar, consumed } of vectors.trailing) {
      const reader = new NarReader(new TreeBuilder())
      assert.equal(reader.push(decode(nar)), consumed, name)
      assert.ok(reader.done)
      assert.equal(reader.position, consumed)
      assert.equal(reader.push(Buffer.from('more')), 0)
      reader.finish()
    }
  })

  it('reads any tree alike, however it is cut', () => {
    fc.assert(
      fc.property(narTrees, cutLengths, (tree, lengths) => {
        const nar = writeNarTree(tree)
        const whole = readNarTree([nar])
        assert.deepEqual(readNarTree(cut(nar, lengths)), whole)
        assert.deepEqual(writeNarTree(whole), nar)
      }),
      { numRuns: 200 },
    )
  })

  it('leaves the rest of a chunk between nodes when it is enough, and goes on from there', () => {
    fc.assert(
      fc.property(narTrees, cutLengths, fc.infiniteStream(fc.boolean()), (tree, lengths, answers) => {
        const nar = writeNarTree(tree)
        const builder = new TreeBuilder()
        const reader = new NarReader(builder)
        for (const chunk of cut(nar, lengths)) {
          for (let at = 0; at < chunk.length; ) {
            let said = false
            const used = reader.push(chunk.subarray(at), () => {
              said = answers.next().value
              return said
            })
            at += used
            assert.ok(used > 0)
            assert.ok(said || at === chunk.length, 'it stops only when it is told to')
          }
        }
        reader.finish()
        assert.deepEqual(builder.root, readNarTree([nar]))
      }),
    )
  })

  it('reads damaged NARs to an error, or to a tree that has exactly these bytes', () => {
    const edits = fc.array(
      fc.record({ at: fc.nat(), remove: fc.nat({ max: 16 }), insert: fc.uint8Array({ maxLength: 16 }) }),
      { minLength: 1, maxLength: 3 },
    )
    fc.assert(
      fc.property(narTrees, edits, cutLengths, (tree, changes, lengths) => {
        let nar = writeNarTree(tree)
        for (const { at, remove, insert } of changes) {
          const position = at % nar.length
          nar = Buffer.concat([nar.subarray(0, position), insert, nar.subarray(position + remove)])
        }
        const builder = new TreeBuilder()
        const reader = new NarReader(builder)
        let consumed: number
        try {
          consumed = reader.push(nar)
          reader.finish()
        } catch (error) {
          assert.ok(error instanceof NarFormatError)
          assert.ok(error.offset <= nar.length)
          assert.deepEqual(failure(nar, lengths), { offset: error.offset, message: error.message })
          return
        }
        assert.deepEqual(writeNarTree(builder.root!), nar.subarray(0, consumed))
      }),
      { numRuns: 400 },
    )
  })

  it('reads flipped bits of framing likewise', () => {
    for (const { nar } of vectors.valid.slice(0, 8)) {
      const bytes = decode(nar)
      for (let at = 0; at < bytes.length; at++) {
        bytes[at]! ^= 1
        const builder = new TreeBuilder()
        const reader = new NarReader(builder)
        try {
          reader.push(bytes)
          reader.finish()
          assert.deepEqual(writeNarTree(builder.root!), bytes.subarray(0, reader.position))
        } catch (error) {
          assert.ok(error instanceof NarFormatError)
        }
        bytes[at]! ^= 1
      }
    }
  })

  it('says what it expected', () => {
    const cases: [string, string][] = [
      ['file without contents', 'expected "contents" or "executable"'],
      ['unknown type', 'expected "regular" or "symlink" or "directory"'],
      ['padding of contents not zero', 'padding is not zero'],
      ['padding of the magic not zero', 'padding is not zero'],
      ['names not in order', 'byte order'],
      ['leaf at depth 64', '63 levels'],
      ['contents of 2^64 - 8 bytes', 'longer than'],
      ['cut after 56 bytes', 'ends too early'],
      ['name with a slash', '"/"'],
    ]
    for (const [name, text] of cases) {
      const golden = vectors.invalid.find((one) => one.name === name)
      assert.ok(golden, name)
      const bytes = decode(golden.nar)
      const message = failure(bytes, [bytes.length])?.message ?? ''
      assert.ok(message.includes(text), message)
      assert.ok(message.includes(`offset ${golden.offset}`), message)
    }
  })

  it('refuses a wrong byte at once, not only when the token is complete', () => {
    const reader = new NarReader(new TreeBuilder())
    reader.push(example.subarray(0, 9))
    assert.throws(() => reader.push(Buffer.from('X')), { code: 'ERR_NAR_INVALID', offset: 9 })
  })

  it("cannot be used after an error, its own or the handler's", () => {
    const reader = new NarReader(new TreeBuilder())
    assert.throws(() => reader.push(Buffer.alloc(24)), { code: 'ERR_NAR_INVALID' })
    assert.throws(() => reader.push(example), { code: 'ERR_NAR_INVALID' })
    assert.throws(() => reader.finish(), { code: 'ERR_NAR_INVALID' })

    const failing = new TreeBuilder()
    failing.fileData = () => {
      throw new RangeError('disk full')
    }
    const second = new NarReader(failing)
    assert.throws(() => second.push(example), RangeError)
    assert.throws(() => second.push(example), { code: 'ERR_NAR_INVALID' })
  })

  it('refuses what is longer than allowed, a file when it is declared', () => {
    assert.deepEqual(readNarTree([example], { maxSize: example.length }), vectors.valid[0]!.tree)
    for (const maxSize of [0, 10, 100, example.length - 1]) {
      assert.throws(() => readNarTree([example], { maxSize }), { code: 'ERR_NAR_INVALID' })
    }
    const framer = new NarFramer()
    framer.start()
    framer.fileOpen(false, 2 ** 40)
    const builder = new TreeBuilder()
    const started: number[] = []
    builder.fileStart = (_, size) => started.push(size)
    assert.throws(() => new NarReader(builder, { maxSize: 2 ** 40 }).push(framer.take()), {
      code: 'ERR_NAR_INVALID',
    })
    assert.deepEqual(started, [])
  })

  it('hands contents through as views on its input, of any size up to 2^53', () => {
    const size = 2 ** 41
    const framer = new NarFramer()
    framer.start()
    framer.fileOpen(true, size)
    const chunk = Buffer.alloc(2 ** 20)
    const builder = new TreeBuilder()
    let given: Uint8Array | undefined
    let declared = 0
    builder.fileStart = (_, length) => {
      declared = length
    }
    builder.fileData = (data) => {
      given = data
    }
    const reader = new NarReader(builder)
    reader.push(framer.take())
    assert.equal(reader.push(chunk), chunk.length)
    assert.equal(declared, size)
    assert.equal(given?.buffer, chunk.buffer)
    assert.equal(reader.position, 128 + chunk.length)
    assert.throws(() => reader.finish(), { code: 'ERR_NAR_INVALID' })
  })

  it('keeps nothing of its input', () => {
    const nar = writeNarTree({
      type: 'directory',
      entries: [
        { name: 'YQ==', node: { type: 'symlink', target: 'dGFyZ2V0' } },
        { name: 'Yg==', node: { type: 'regular', executable: false, contents: 'eA==' } },
      ],
    })
    const expected = readNarTree([nar])
    const scratch = Buffer.alloc(1)
    const builder = new TreeBuilder()
    const reader = new NarReader(builder)
    for (const byte of nar) {
      scratch[0] = byte
      reader.push(scratch)
      scratch[0] = 0
    }
    assert.deepEqual(builder.root, expected)
    const copy = Buffer.from(nar)
    const second = new TreeBuilder()
    new NarReader(second).push(copy)
    copy.fill(0)
    assert.deepEqual(second.root, expected)
  })
})
