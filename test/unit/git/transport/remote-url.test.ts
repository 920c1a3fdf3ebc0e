import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseRemoteUrl } from '../../../../src/git/transport/remote-url.ts'
import { shellQuote } from '../../../../src/git/transport/ssh-transport.ts'
import { GachixError } from '../../../../src/util/errors.ts'
import { run } from '../../../support/process.ts'

test('every form of URL', () => {
  const cases: [string, object][] = [
    ['ssh://host/a/b.git', { kind: 'ssh', host: 'host', path: '/a/b.git' }],
    ['ssh://me@host:2222/a%20b', { kind: 'ssh', host: 'host', user: 'me', port: 2222, path: '/a b' }],
    ['ssh://[::1]:22/a', { kind: 'ssh', host: '::1', port: 22, path: '/a' }],
    ['git+ssh://host/~me/a', { kind: 'ssh', host: 'host', path: '~me/a' }],
    ['me@host:a/b', { kind: 'ssh', host: 'host', user: 'me', path: 'a/b' }],
    ['host:/a', { kind: 'ssh', host: 'host', path: '/a' }],
    ['me@[::1]:a', { kind: 'ssh', host: '::1', user: 'me', path: 'a' }],
    ['https://host/a/', { kind: 'http', base: 'https://host/a' }],
    ['http://u%40x:p%3A@host:81/a', { kind: 'http', base: 'http://host:81/a', credentials: 'u@x:p:' }],
    ['file:///a/b%20c', { kind: 'file', path: '/a/b c' }],
    ['/a/b', { kind: 'file', path: '/a/b' }],
    ['./a:b', { kind: 'file', path: `${process.cwd()}/a:b` }],
  ]
  for (const [text, expected] of cases) {
    const { display, ...rest } = parseRemoteUrl(text)
    assert.deepEqual(rest, expected, text)
    assert.doesNotMatch(display, /p%3A/)
  }
})

test('what is no URL of a remote is refused by name', () => {
  for (const text of [
    ...[
      '',
      'ssh://',
      'ssh://host',
      'ssh://host/',
      'host:',
      ':path',
      '-host:path',
      '-u@host:path',
      'host:-path',
    ],
    ...[
      'ssh://-host/a',
      'ssh://u:p@host/a',
      'ssh://host/a?b',
      'ssh://host/%',
      'ssh://host/a%00b',
      'host:a\tb',
    ],
    ...[
      'http://',
      'http://host/a?b=c',
      'https://host/#a',
      'file://host/a',
      'file:///a%2Fb',
      'ftp://host/a',
      'ext::x://y',
    ],
    `host:${'a'.repeat(5000)}`,
  ]) {
    assert.throws(() => parseRemoteUrl(text), { code: 'ERR_REMOTE_URL' }, text)
  }
})

test('any text is a URL or refused, and passwords are not shown', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.constantFrom('', 'ssh://', 'https://u:hunter2@', 'host:', 'file://'),
      (text, start) => {
        try {
          const url = parseRemoteUrl(start + text)
          assert.doesNotMatch(url.display, /hunter2@/)
          if (url.kind === 'ssh') assert.doesNotMatch(`${url.host}${url.path}`, /^-|\p{Cc}/u)
        } catch (error) {
          assert.ok(error instanceof GachixError, String(error))
          assert.doesNotMatch(error.message, /hunter2@/)
        }
      },
    ),
  )
})

test('a quoted word is that word to a shell', async () => {
  const words = ["it's", '!', "a'!'b", '$(id)', '`id`', '\\', '"', 'a b', '*', '']
  for (const word of words) {
    assert.equal((await run('sh', ['-c', `printf %s ${shellQuote(word)}`])).toString(), word)
  }
})
