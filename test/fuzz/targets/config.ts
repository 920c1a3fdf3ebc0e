/** Settings: the input is the file, and its lines are values of environment variables. */
import assert from 'node:assert/strict'
import { parseConfig } from '../../../src/config/parse.ts'
import { ENVIRONMENT_PREFIX, environmentName, SETTING_LIST } from '../../../src/config/schema.ts'
import type { FuzzTarget } from '../target.ts'

const NAMES = SETTING_LIST.map(({ key }) => key)

export const target: FuzzTarget = {
  name: 'config',
  maxLength: 4096,
  tokens: [
    ...NAMES.flatMap((name) => name.split('.').map((part) => `${part}: `)),
    ...[
      '\n',
      '\n  ',
      ': ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      '&a ',
      '*a',
      '<<: ',
      '!!binary ',
      '!!js/function ',
      '|',
      '>',
      '---\n',
      '...\n',
    ],
    ...['url: ', 'name: ', 'public_keys: ', 'https://', 'ssh-ng://', 'file:///', 'git@host:', 'ext::'],
    ...['null', '~', 'true', '0x10', '1e9', '.inf', '"', "'", '# ', '%YAML 1.2\n', '\t', '\u2028', '? '],
  ],

  seeds: () =>
    [
      '',
      'log_level: info\nstore:\n  path: ./cache\nbuilders: []\nremotes: []\nserver:\n  host: localhost\n  port: 8080\n',
      'use_local_nix_daemon: true\nbuilders:\n  - "ssh://one"\n  - two\nremotes: [a, b]\nserver: {host: "::1", port: 1}\n',
      'ssh_private_key_path: ~\nsign_private_key_path: "key"\n# a comment\nstore: {path: "/x"}\n',
      'store:\n  upstreams:\n    - https://a\n    - url: file:///b\n      name: c\n      require_signatures: false\n      public_keys: [x]\n',
      '[https://a, {url: "ssh-ng://u@h:1?remote-program=x", name: n, public_keys: ["a:b"]}]\n',
      `${'['.repeat(200)}${']'.repeat(200)}`,
    ].map((text) => Buffer.from(text)),

  run(data) {
    const text = data.toString()
    const lines = text.split('\n')
    const { config, origins } = parseConfig(text, 'gachix.yaml')
    assert.equal(typeof config, 'object')
    assert.equal(origins.size, NAMES.length)
    const env = Object.fromEntries(lines.map((line, i) => [environmentName(NAMES[i % NAMES.length]!), line]))
    parseConfig(undefined, '', env)
    parseConfig(undefined, '', { [`${ENVIRONMENT_PREFIX}${lines[0]?.slice(0, 40)}`]: 'x' })
  },
}
