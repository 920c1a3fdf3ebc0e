import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createObjectHash,
  EMPTY_BLOB,
  EMPTY_TREE,
  hashObject,
  isGitObjectType,
  isOid,
  oidFromBytes,
  oidToBytes,
} from '../../../src/git/oid.ts'

test('ids of well-known objects', () => {
  assert.equal(hashObject('blob', Buffer.alloc(0)), EMPTY_BLOB)
  assert.equal(hashObject('tree', Buffer.alloc(0)), EMPTY_TREE)
  assert.equal(hashObject('blob', Buffer.from('hello\n')), 'ce013625030ba8dba906f756967f9e9ca394464a')
})

test('one-shot and streamed hashes agree', () => {
  for (const size of [0, 1, 8191, 8192, 8193, 100_000]) {
    const data = Buffer.alloc(size, 7)
    assert.equal(hashObject('blob', data), createObjectHash('blob', size).update(data).digest('hex'))
  }
})

test('text and bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(9), (bytes, offset) => {
      const oid = oidFromBytes(bytes)
      assert.ok(isOid(oid))
      assert.deepEqual(new Uint8Array(oidToBytes(oid)), bytes)
      assert.equal(oidFromBytes(Buffer.concat([Buffer.alloc(offset), bytes]), offset), oid)
    }),
  )
  assert.throws(() => oidFromBytes(Buffer.alloc(19)), RangeError)
  assert.throws(() => oidFromBytes(Buffer.alloc(30), -1), RangeError)
  for (const text of [
    '',
    'a'.repeat(39),
    'a'.repeat(41),
    'A'.repeat(40),
    `${'a'.repeat(40)}\n`,
    'g'.repeat(40),
  ]) {
    assert.equal(isOid(text), false)
    assert.throws(() => oidToBytes(text), { code: 'ERR_INVALID_OID' })
  }
  assert.deepEqual(['blob', 'tree', 'commit', 'tag', 'ofs-delta', ''].map(isGitObjectType), [
    true,
    true,
    true,
    true,
    false,
    false,
  ])
})
