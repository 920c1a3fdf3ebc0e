/** `nix.conf`: a cache that is added is in force, adding it again changes nothing, and what is removed is gone. */
import assert from 'node:assert/strict'
import { addCache, isSameUrl, readCaches, removeCache } from '../../../src/nix/nix-conf.ts'
import type { FuzzTarget } from '../target.ts'

const CACHE = { url: 'http://localhost:8080', publicKey: 'node-1:AAAA' }

export const target: FuzzTarget = {
  name: 'nix-conf',
  tokens: [
    'substituters = ',
    'extra-substituters =',
    'trusted-public-keys = ',
    'extra-trusted-public-keys =',
    'binary-caches = ',
    'include ',
    '!include x',
    ' # ',
    '\n',
    ' http://localhost:8080/',
    ' node-1:AAAA',
    ' node-1:BBBB',
    '?priority=1',
  ],

  seeds: () =>
    [
      'substituters = https://a http://localhost:8080/?priority=10 # ours\nextra-trusted-public-keys = node-1:BBBB\n',
      'max-jobs = 4\n!include more.conf\nextra-substituters = http://localhost:8080',
      'trusted-public-keys = a-1:AA node-1:AAAA\nsubstituters =\n',
    ].map((text) => Buffer.from(text)),

  run(data) {
    const added = addCache(data.toString(), CACHE)
    const caches = readCaches(added)
    assert.ok(caches.substituters.some((url) => isSameUrl(url, CACHE.url)))
    assert.ok(caches.publicKeys.includes(CACHE.publicKey))
    assert.equal(addCache(added, CACHE), added)
    const removed = removeCache(added, CACHE)
    assert.ok(!readCaches(removed).substituters.some((url) => isSameUrl(url, CACHE.url)))
    assert.ok(!readCaches(removed).publicKeys.includes(CACHE.publicKey))
    assert.equal(removeCache(removed, CACHE), removed)
  },
}
