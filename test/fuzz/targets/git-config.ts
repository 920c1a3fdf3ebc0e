/** Git configuration files. */
import assert from 'node:assert/strict'
import { readGitConfig } from '../../../src/git/config-reader.ts'
import type { FuzzTarget } from '../target.ts'

export const target: FuzzTarget = {
  name: 'git-config',
  tokens: [
    '[core]',
    '[remote "',
    '"]',
    '\n',
    '\\\n',
    '\\',
    '"',
    '# ',
    '; ',
    ' = ',
    'true',
    '\ufeff',
    '\r\n',
    '[extensions]\n\tx = 1\n',
  ],

  seeds: () =>
    [
      '[core]\n\trepositoryformatversion = 0\n\tbare = true\n# comment\n[remote "origin"]\n\turl = ssh://host/path ; more\n',
      '[a "b\\"c"]\n\tname = "quoted \\t text" and \\\n  more\n\tflag\n',
      '[section.sub]\nx=1\n',
    ].map((text) => Buffer.from(text)),

  run(data) {
    for (const { key, value } of readGitConfig(data.toString(), 'config')) {
      assert.ok(key.includes('.'))
      assert.equal(typeof value, 'string')
    }
  },
}
