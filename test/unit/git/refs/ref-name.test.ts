import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  groupPackages,
  isNarinfoRef,
  packageRef,
  parsePackageRef,
} from '../../../../src/git/refs/package-refs.ts'
import { compareRefNames, isRefName } from '../../../../src/git/refs/ref-name.ts'
import { oid } from './arbitraries.ts'

const HASH = '0123456789abcdfghijklmnpqrsvwxyz'

test('names outside of refs/ and names that Git forbids are refused', () => {
  for (const name of [
    'refs/heads/main',
    `refs/${HASH}/narinfo`,
    'refs/x',
    'refs/heads/a.b',
    'refs/heads/@',
    'refs/heads/ü',
  ]) {
    assert.equal(isRefName(name), true, name)
  }
  const bad = [
    '',
    'refs',
    'refs/',
    'HEAD',
    'heads/main',
    '/refs/x',
    'refs//x',
    'refs/x/',
    'refs/.x',
    'refs/x.lock',
    'refs/x.lock/y',
  ]
  bad.push(
    'refs/x.',
    'refs/a..b',
    'refs/../x',
    'refs/a@{b',
    'refs/a b',
    'refs/a\nb',
    'refs/a\0b',
    'refs/a~b',
    'refs/a^b',
    'refs/a:b',
  )
  bad.push(
    'refs/a?b',
    'refs/a*b',
    'refs/a[b',
    'refs/a\\b',
    'refs/a\x7fb',
    'refs/\ud800',
    `refs/${'x'.repeat(2000)}`,
  )
  for (const name of bad) assert.equal(isRefName(name), false, JSON.stringify(name))
})

test('names are ordered by their bytes', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string())
  fc.assert(
    fc.property(text, text, (a, b) => {
      const expected = Buffer.compare(Buffer.from(a), Buffer.from(b))
      assert.equal(Math.sign(compareRefNames(a, b)), expected)
    }),
  )
})

test('package refs are told from others', () => {
  assert.deepEqual(parsePackageRef(packageRef(HASH, 'result')), { hash: HASH, kind: 'result' })
  assert.equal(isNarinfoRef(packageRef(HASH, 'narinfo')), true)
  for (const name of [
    'refs/heads/main',
    `refs/${HASH}`,
    `refs/${HASH}/other`,
    `refs/${HASH.replace('x', 'e')}/narinfo`,
    `refs/${HASH}0/tree`,
  ]) {
    assert.equal(parsePackageRef(name), undefined, name)
    assert.equal(isNarinfoRef(name), false, name)
  }
})

test('packages are put together from their refs', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(32)) as [string, string, string]
  const refs = [
    { name: packageRef(a, 'narinfo'), oid: oid(1) },
    { name: packageRef(a, 'result'), oid: oid(2) },
    { name: packageRef(b, 'result'), oid: oid(3) },
    { name: packageRef(c, 'narinfo'), oid: oid(4) },
    { name: packageRef(c, 'tree'), oid: oid(5) },
    { name: 'refs/heads/main', oid: oid(6) },
  ]
  assert.deepEqual(
    [...groupPackages(refs)],
    [
      { hash: a, narinfo: oid(1), result: oid(2) },
      { hash: c, narinfo: oid(4), tree: oid(5) },
    ],
  )
})
