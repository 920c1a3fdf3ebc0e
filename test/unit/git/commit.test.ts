import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeCommit, parseCommit } from '../../../src/git/commit.ts'
import { MalformedObjectError } from '../../../src/git/object-errors.ts'
import { EMPTY_TREE, hashObject } from '../../../src/git/oid.ts'

const WHO = 'gachix <gachix@gachix.com> 0 +0000'
const parent = 'a'.repeat(40)
const fields = {
  tree: EMPTY_TREE,
  parents: [parent, 'b'.repeat(40)],
  author: WHO,
  committer: WHO,
  message: 'hello-1.0',
}

test('encodes as git commit-tree does', () => {
  const data = encodeCommit({ ...fields, parents: [] })
  const text = `tree ${EMPTY_TREE}\nauthor ${WHO}\ncommitter ${WHO}\n\nhello-1.0`
  assert.equal(data.toString(), text)
  // From git commit-tree with the same names and dates.
  assert.equal(hashObject('commit', data), '51e8d0b3c10c07a7f28406a0e4b29d5bae23914b')
})

test('what is encoded parses to the same fields', () => {
  const oid = fc.stringMatching(/^[0-9a-f]{40}$/)
  const line = fc.string({ maxLength: 40 }).filter((text) => !/[\n\0]/.test(text))
  const commit = fc.record({
    tree: oid,
    parents: fc.array(oid, { maxLength: 4 }),
    author: line,
    committer: line,
    message: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
  })
  fc.assert(
    fc.property(commit, (value) => {
      assert.deepEqual(parseCommit(encodeCommit(value)), { ...value })
    }),
  )
})

test('reads past headers that it does not know', () => {
  const text = encodeCommit(fields).toString()
  const signed = text.replace('\n\n', '\nencoding latin1\ngpgsig -----BEGIN\n x\n \n -----END\n\n')
  assert.deepEqual(parseCommit(Buffer.from(signed)), parseCommit(Buffer.from(text)))
  const bare = text.slice(0, text.indexOf('\n\n') + 1)
  assert.equal(parseCommit(Buffer.from(bare)).message.length, 0)
})

test('refuses what is no commit', () => {
  const text = encodeCommit(fields).toString()
  const bad = [
    '',
    text.replace('tree ', 'tre '),
    text.replace(EMPTY_TREE, EMPTY_TREE.toUpperCase()),
    text.replace(parent, `${parent}0`),
    text.replace(`parent ${parent}`, `parent ${parent.slice(1)}`),
    text.replace(/author .*\n/, ''),
    text.replace(/committer .*\n/, ''),
    text.slice(0, 60),
    text.slice(0, text.indexOf('\n\n')),
    text.replace('\n\n', '\nunfinished'),
  ]
  for (const data of bad) assert.throws(() => parseCommit(Buffer.from(data)), MalformedObjectError, data)
  assert.throws(() => encodeCommit({ ...fields, author: 'a\nb' }), MalformedObjectError)
  assert.throws(() => encodeCommit({ ...fields, tree: 'x' }), { code: 'ERR_INVALID_OID' })
  assert.throws(() => encodeCommit({ ...fields, parents: ['x'] }), { code: 'ERR_INVALID_OID' })
})
