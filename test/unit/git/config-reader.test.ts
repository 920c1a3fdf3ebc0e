import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GitConfigError, readGitConfig } from '../../../src/git/config-reader.ts'

const read = (text: string): [string, string][] =>
  readGitConfig(text, 'config').map(({ key, value }) => [key, value])

test('reads settings as git-config(1) describes them', () => {
  const text = [
    '\ufeff# comment',
    '[Core] bare = true ; comment',
    '\tRepositoryFormatVersion=1\r',
    'flag',
    '[remote "Or\\"igin"]',
    'url = "a ; b" # c',
    'long = one \\',
    '  two',
    'escaped = "\\t\\\\"x y  ',
    'empty =',
    '[a.b] c=d[extensions]',
    '[extensions]objectFormat = sha256',
  ].join('\n')
  assert.deepEqual(read(text), [
    ['core.bare', 'true'],
    ['core.repositoryformatversion', '1'],
    ['core.flag', 'true'],
    ['remote.Or"igin.url', 'a ; b'],
    ['remote.Or"igin.long', 'one   two'],
    ['remote.Or"igin.escaped', '\t\\x y'],
    ['remote.Or"igin.empty', ''],
    ['a.b.c', 'd[extensions]'],
    ['extensions.objectformat', 'sha256'],
  ])
  assert.deepEqual(read(''), [])
})

test('what Git refuses is refused with its line', () => {
  for (const text of [
    'x = 1',
    '[core',
    '[core]\n= 1',
    '[core]\nx = "open\n',
    '[core]\nx = \\q',
    '[core]\n1x = 2',
    '[core]\nx y',
  ]) {
    assert.throws(
      () => read(text),
      (error: unknown) => error instanceof GitConfigError && /line [12] /.test(error.message),
      text,
    )
  }
})

test('any text is read or refused', () => {
  const piece = fc.constantFrom('[core]', '[x "y"]', 'name', ' = ', '"', '\\', '\n', '#', ';', '\r', 'ä', '[')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join('')),
      ),
      (text) => {
        try {
          read(text)
        } catch (error) {
          if (!(error instanceof GitConfigError)) throw error
        }
      },
    ),
  )
})
