import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseRequestPath } from '../../../src/http/request-path.ts'
import { matchRoute } from '../../../src/http/route.ts'

const HASH = '0123456789abcdfghijklmnpqrsvwxyz'
const TREE = '0123456789abcdef0123456789abcdef01234567'

describe('matchRoute', () => {
  const cases: [string, object][] = [
    ['/', { to: 'landing' }],
    ['/?x=1', { to: 'landing' }],
    ['http://host:1', { to: 'malformed' }],
    ['http://host:1/', { to: 'landing' }],
    ['/health', { to: 'health' }],
    ['/nix-cache-info', { to: 'cache-info' }],
    ['/nix%2Dcache-info', { to: 'cache-info' }],
    [`/${HASH}.narinfo`, { to: 'narinfo', hash: HASH }],
    [`http://host/${HASH}.narinfo?a`, { to: 'narinfo', hash: HASH }],
    [`/${HASH}.ls`, { to: 'listing', hash: HASH }],
    [`/nar/${TREE}.nar`, { to: 'nar', tree: TREE }],
    [`/nar/${TREE}.nar?hash=1`, { to: 'nar', tree: TREE }],
    [`/nar/${TREE}.abc0.nar.gz`, { to: 'gzip-nar', tree: TREE, id: 'abc0' }],
    [`/%6Ear/${TREE}.nar`, { to: 'nar', tree: TREE }],
    ['//', { to: 'unknown' }],
    ['//nix-cache-info', { to: 'unknown' }],
    ['/nix-cache-info/', { to: 'unknown' }],
    [`/nar%2F${TREE}.nar`, { to: 'unknown' }],
    [`/nar/${TREE}.nar.xz`, { to: 'unknown' }],
    [`/nar/${TREE}.nar/x`, { to: 'unknown' }],
    ['/log/x.drv', { to: 'unknown' }],
    ['/debuginfo/x.debug', { to: 'unknown' }],
    ['/.narinfo', { to: 'malformed' }],
    ['/abc.narinfo', { to: 'malformed' }],
    [`/${HASH.toUpperCase()}.narinfo`, { to: 'malformed' }],
    [`/${HASH.replace('d', 'e')}.narinfo`, { to: 'malformed' }],
    ['/../../etc/passwd.ls', { to: 'unknown' }],
    ['/..%2f..%2fetc%2fpasswd.ls', { to: 'malformed' }],
    ['/nar/../config.nar', { to: 'unknown' }],
    ['/nar/%2e%2e.nar', { to: 'malformed' }],
    [`/nar/${TREE.slice(1)}.nar`, { to: 'malformed' }],
    [`/nar/${TREE.toUpperCase()}.nar`, { to: 'malformed' }],
    [`/nar/${TREE}..nar.gz`, { to: 'malformed' }],
    [`/nar/${TREE}.a-b.nar.gz`, { to: 'malformed' }],
    ['/%', { to: 'malformed' }],
    ['/%zz', { to: 'malformed' }],
    ['/%ff.narinfo', { to: 'malformed' }],
    ['/%2525', { to: 'unknown' }],
    ['*', { to: 'malformed' }],
    ['', { to: 'malformed' }],
    ['ftp://host/x', { to: 'malformed' }],
  ]
  for (const [target, expected] of cases) {
    test(target, () => {
      const route = matchRoute(target)
      assert.deepEqual('reason' in route ? { to: route.to } : route, expected)
    })
  }

  test('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => void matchRoute(text)))
    fc.assert(fc.property(fc.webPath(), (text) => void matchRoute(`/${text}`)))
  })
})

test('segments are decoded exactly once, and a decoded slash makes no new one', () => {
  const names = fc.array(fc.string({ unit: 'grapheme', minLength: 1 }), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(names, (segments) => {
      const target = `/${segments.map(encodeURIComponent).join('/')}?%zz`
      assert.deepEqual(parseRequestPath(target), segments)
    }),
  )
  assert.deepEqual(parseRequestPath('/a%252Fb'), ['a%2Fb'])
})
