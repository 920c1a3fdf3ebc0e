import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MalformedObjectError } from '../../../src/git/object-errors.ts'
import { EMPTY_BLOB, EMPTY_TREE, hashObject } from '../../../src/git/oid.ts'
import { encodeTree, parseTree, type TreeEntry, type TreeMode } from '../../../src/git/tree.ts'

const entry = (mode: TreeMode, name: string, oid = EMPTY_BLOB): TreeEntry => ({
  mode,
  name: Buffer.from(name),
  oid,
})
const raw = (...entries: [mode: string, name: string][]): Buffer =>
  Buffer.concat(entries.flatMap(([mode, name]) => [Buffer.from(`${mode} ${name}\0`), Buffer.alloc(20, 1)]))

test('sorts directories as if their names ended in a slash', () => {
  const data = encodeTree([
    entry('40000', 'a'),
    entry('100644', 'a.b'),
    entry('100644', 'a0'),
    entry('100755', 'B'),
  ])
  assert.deepEqual(
    parseTree(data).map(({ name }) => name.toString()),
    ['B', 'a.b', 'a', 'a0'],
  )
})

test('the empty tree', () => {
  assert.equal(hashObject('tree', encodeTree([])), EMPTY_TREE)
  assert.deepEqual(parseTree(Buffer.alloc(0)), [])
})

test('reads the historical mode as git does', () => {
  assert.equal(parseTree(raw(['100664', 'old']))[0]?.mode, '100644')
})

test('refuses what git would not write', () => {
  const bad: [why: string, data: Buffer][] = [
    ['unknown mode', raw(['100600', 'a'])],
    ['padded mode', raw(['040000', 'a'])],
    ['no mode', raw(['', 'a'])],
    ['empty name', raw(['100644', ''])],
    ['slash', raw(['100644', 'a/b'])],
    ['dot', raw(['40000', '.'])],
    ['dot dot', raw(['40000', '..'])],
    ['out of order', raw(['100644', 'b'], ['100644', 'a'])],
    ['directory out of order', raw(['40000', 'a'], ['100644', 'a.b'])],
    ['twice', raw(['100644', 'a'], ['100755', 'a'])],
    ['twice, file and directory', raw(['100644', 'a'], ['40000', 'a'])],
    ['twice, not side by side', raw(['100644', 'a'], ['100644', 'a-'], ['100644', 'a.b'], ['40000', 'a'])],
    ['cut off in the id', raw(['100644', 'a']).subarray(0, -1)],
    ['cut off in the name', Buffer.from('100644 a')],
    ['cut off in the mode', Buffer.from('1006')],
    ['no space', Buffer.from('100644a\0aaaaaaaaaaaaaaaaaaaa')],
  ]
  for (const [why, data] of bad) assert.throws(() => parseTree(data), MalformedObjectError, why)
  assert.throws(() => encodeTree([entry('100644', 'a'), entry('40000', 'a')]), MalformedObjectError)
  assert.throws(
    () => encodeTree([entry('40000', 'a'), entry('100644', 'a.b'), entry('100644', 'a')]),
    MalformedObjectError,
  )
  assert.throws(() => encodeTree([entry('100644', 'a/b')]), MalformedObjectError)
  assert.throws(() => encodeTree([entry('100644', 'a\0b')]), MalformedObjectError)
  assert.throws(() => encodeTree([entry('100644', 'a', 'abc')]), { code: 'ERR_INVALID_OID' })
})

test('a directory beside a longer name of the same beginning is no duplicate', () => {
  const names = parseTree(
    encodeTree([entry('40000', 'lib'), entry('100644', 'lib-a'), entry('40000', 'lib.so')]),
  )
  assert.equal(names.length, 3)
})

const name = fc
  .uint8Array({ minLength: 1, maxLength: 6 })
  .filter(
    (bytes) => !bytes.includes(0) && !bytes.includes(0x2f) && !/^\.\.?$/.test(Buffer.from(bytes).toString()),
  )
const mode = fc.constantFrom<TreeMode>('40000', '100644', '100755', '120000', '160000')
const entries = fc.uniqueArray(
  fc.record({ mode, name: name.map((bytes) => Buffer.from(bytes)), oid: fc.constant(EMPTY_BLOB) }),
  { selector: (item) => item.name.toString('hex') },
)

test('what is encoded parses to the same entries', () => {
  fc.assert(
    fc.property(entries, (list) => {
      const key = (item: TreeEntry): string => `${item.mode} ${item.name.toString('hex')} ${item.oid}`
      assert.deepEqual(parseTree(encodeTree(list)).map(key).sort(), list.map(key).sort())
    }),
  )
})

test('any bytes either parse and encode back, or are refused', () => {
  const noisy = fc.tuple(entries, fc.nat(), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(noisy, ([list, at, value]) => {
      const data = encodeTree(list)
      if (data.length > 0) data[at % data.length] = value
      if (data.includes('100664 ')) return
      try {
        assert.ok(encodeTree(parseTree(data)).equals(data))
      } catch (error) {
        assert.ok(error instanceof MalformedObjectError)
      }
    }),
  )
})
