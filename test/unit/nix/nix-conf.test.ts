import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { addCache, readCaches, removeCache } from '../../../src/nix/nix-conf.ts'

const CACHE = { url: 'http://localhost:8080', publicKey: 'node-1:AAAA' }
const LINES = 'extra-substituters = http://localhost:8080\nextra-trusted-public-keys = node-1:AAAA\n'

describe('addCache', () => {
  const cases: [what: string, before: string, after: string][] = [
    ['an empty file', '', LINES],
    ['a last line without an end', 'max-jobs = 4', `max-jobs = 4\n${LINES}`],
    ['what is there already', LINES, LINES],
    [
      'what is there under older names, with a parameter',
      'binary-caches = https://a http://localhost:8080/?priority=10 # ours\nextra-trusted-public-keys = node-1:AAAA\n',
      'binary-caches = https://a http://localhost:8080/?priority=10 # ours\nextra-trusted-public-keys = node-1:AAAA\n',
    ],
    [
      'what a later line takes out of force',
      `${LINES}substituters = https://a\n`,
      `${LINES}substituters = https://a\nextra-substituters = http://localhost:8080\n`,
    ],
    [
      'a key of the same name that is another',
      'trusted-public-keys = a-1:AA node-1:BBBB b-1:CC\nextra-substituters = http://localhost:8080\n',
      'trusted-public-keys = a-1:AA b-1:CC\nextra-substituters = http://localhost:8080\nextra-trusted-public-keys = node-1:AAAA\n',
    ],
    [
      'what is only a comment',
      '# extra-substituters = http://localhost:8080\n',
      `# extra-substituters = http://localhost:8080\n${LINES}`,
    ],
  ]
  for (const [what, before, after] of cases) test(what, () => assert.equal(addCache(before, CACHE), after))

  test('a cache without a key gets one line', () => {
    const cache = { url: 'https://c', publicKey: undefined }
    assert.equal(addCache('', cache), 'extra-substituters = https://c\n')
  })
})

describe('removeCache', () => {
  const cases: [what: string, before: string, after: string][] = [
    ['the lines that were added', `max-jobs = 4\n${LINES}`, 'max-jobs = 4\n'],
    ['nothing', 'max-jobs = 4\n', 'max-jobs = 4\n'],
    [
      'of lists only the one, and comments stay',
      'substituters = https://a http://localhost:8080/ # mine\nextra-trusted-public-keys = node-1:AAAA # key\n',
      'substituters = https://a # mine\nextra-trusted-public-keys = # key\n',
    ],
    [
      'not another key of that name',
      'trusted-public-keys = node-1:BB\n',
      'trusted-public-keys = node-1:BB\n',
    ],
  ]
  for (const [what, before, after] of cases) test(what, () => assert.equal(removeCache(before, CACHE), after))
})

const value = fc.constantFrom(
  'https://a',
  'http://localhost:8080',
  'http://localhost:8080/?trusted=1',
  'k-1:AA',
)
const line = fc.oneof(
  fc.string().map((text) => text.replaceAll('\n', ' ')),
  fc
    .tuple(
      fc.constantFrom(
        'substituters',
        'extra-substituters',
        'trusted-public-keys',
        'extra-trusted-public-keys',
      ),
      fc.array(value),
      fc.constantFrom('', ' # comment', '  '),
    )
    .map(([name, values, end]) => `${name} = ${values.join(' ')}${end}`),
)
const file = fc.array(line).map((lines) => lines.join('\n'))

test('added once is in force and added twice is the same; removed is gone, and what is not ours stays', () => {
  fc.assert(
    fc.property(file, (text) => {
      const added = addCache(text, CACHE)
      const caches = readCaches(added)
      assert.ok(caches.substituters.some((url) => url.startsWith(CACHE.url)))
      assert.ok(caches.publicKeys.includes(CACHE.publicKey))
      assert.equal(addCache(added, CACHE), added)
      const removed = readCaches(removeCache(added, CACHE))
      assert.ok(!removed.substituters.some((url) => url.startsWith(CACHE.url)))
      assert.ok(!removed.publicKeys.includes(CACHE.publicKey))
      const others = text.split('\n').filter((other) => !/substituters|keys|binary-cache/.test(other))
      const kept = removeCache(added, CACHE).split('\n')
      for (const other of others) assert.ok(kept.includes(other), other)
    }),
  )
})

test('an included file counts from where its line stands', () => {
  const text = 'substituters = https://a\n!include more.conf\nextra-substituters = https://c\n'
  const { substituters } = readCaches(text, undefined, ({ path, optional }, soFar) => {
    assert.deepEqual([path, optional], ['more.conf', true])
    return { ...soFar, substituters: [...soFar.substituters, 'https://b'] }
  })
  assert.deepEqual(substituters, ['https://a', 'https://b', 'https://c'])
})
