/** Settings that name sources of packages. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from '../../../src/config/errors.ts'
import { type Environment, parseConfig } from '../../../src/config/parse.ts'
import { fencedBlocks } from '../../support/documents.ts'

const KEY = 'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='

function problems(text: string, env: Environment = {}): string[] {
  try {
    parseConfig(text, 'g.yaml', env)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.problems.map(({ where, key, message }) => [where, key, message].join(': '))
  }
  return []
}

function names(text: string, env: Environment = {}): string[] {
  const { builders, remotes, upstreams } = parseConfig(text, 'g.yaml', env).config.store
  return [...builders, ...remotes, ...upstreams].map(({ name }) => name)
}

describe('sources in the settings', () => {
  it('have names of their own, derived from host or path, and given ones first', () => {
    const text = `store:
  builders: ["ssh-ng://root@[::1]:22", ssh://host]
  remotes: ["me@host:a/b", /srv/cache.git, "[fe80::1]:x", "./local", {url: ssh://git@x/y, name: host-2}]
  upstreams: ["https://u:p@host/x", file:///var/cache/nix/, "http://h:81"]
`
    assert.deepEqual(names(text), [
      ...['1:22', 'host'],
      ...['host-3', 'cache.git', 'fe80::1', 'local-2', 'host-2'],
      ...['host-4', 'nix', 'h:81'],
    ])
  })

  it('may be given in a variable, as a list of URLs or as YAML', () => {
    const upstream = (value: string) =>
      parseConfig(undefined, '', { GACHIX__STORE__UPSTREAMS: value }).config.store.upstreams.map(
        ({ url, name, requireSignatures, publicKeys }) => [
          url,
          name,
          requireSignatures,
          publicKeys.map(String),
        ],
      )
    assert.deepEqual(upstream('https://a, http://b'), [
      ['https://a', 'a', true, []],
      ['http://b', 'b', true, []],
    ])
    assert.deepEqual(
      upstream(
        ` [https://a, {url: "http://b", name: c, require_signatures: false, public_keys: ["${KEY}"]}]`,
      ),
      [
        ['https://a', 'a', true, []],
        ['http://b', 'c', false, [KEY]],
      ],
    )
    const { config } = parseConfig(undefined, '', {
      GACHIX__TRUST__PUBLIC_KEYS: `${KEY},${KEY.replace('-1', '-2')}`,
    })
    assert.equal(config.trust.publicKeys.length, 2)
  })

  it('are shown as the file has them, with the names that they got', () => {
    const { values } = parseConfig(undefined, '', {
      GACHIX__STORE__UPSTREAMS: `[https://a, {url: "http://b", require_signatures: false, public_keys: ["${KEY}"]}]`,
      GACHIX__TRUST__PUBLIC_KEYS: KEY,
    })
    assert.deepEqual(values.get('store.upstreams'), [
      { url: 'https://a', name: 'a' },
      { url: 'http://b', name: 'b', require_signatures: false, public_keys: [KEY] },
    ])
    assert.deepEqual(values.get('trust.public_keys'), [KEY])
  })

  it('are refused with what is wrong about them, at their lines', () => {
    const text = `store:
  upstreams:
    - ftp://a
    - url: https://a
      nmae: x
    - name: x
    - {url: https://a, name: -x}
    - {url: https://a, name: store}
    - url: https://a
      require_signatures: yes
    - {url: https://a, public_keys: x}
    - {url: https://a, public_keys: ["x"]}
    - {url: https://a, public_keys: [1]}
    - {url: https://a, url: https://b}
    - [https://a]
    - {url: {}}
  builders:
    - ssh-ng://user:pw@host
    - ssh-ng://host/path
    - ssh-ng://host?compress=true
    - ssh-ng://%2doProxyCommand
  remotes:
    - "ext::sh -c true"
    - ssh://-oProxyCommand=x/y
    - svn://host/x
trust:
  public_keys: [x]
`
    const url = 'expected the URL of a binary cache (https://, http:// or file:///, without parameters)'
    const builder = 'expected ssh-ng://[user@]host[:port] or ssh://[user@]host[:port]'
    const remote = 'expected a Git repository (an ssh, https, http or file URL, user@host:path, or a path)'
    const name = 'expected a name of letters, digits and "._:@+-" that is none of local, store'
    assert.deepEqual(problems(text), [
      `g.yaml:3: store.upstreams[0]: ${url}, got "ftp://a"`,
      'g.yaml:4: store.upstreams[1]: unknown key "nmae", did you mean name?',
      `g.yaml:6: store.upstreams[2].url: ${url}, got nothing`,
      `g.yaml:7: store.upstreams[3].name: ${name}, got "-x"`,
      `g.yaml:8: store.upstreams[4].name: ${name}, got "store"`,
      'g.yaml:9: store.upstreams[5].require_signatures: expected true or false, got "yes"',
      'g.yaml:11: store.upstreams[6].public_keys: expected a list of public keys, got "x"',
      'g.yaml:12: store.upstreams[7].public_keys[0]: "x" is not a public key: it must be name:base64',
      'g.yaml:13: store.upstreams[8].public_keys[0]: expected text, got 1',
      `g.yaml:14: store.upstreams[9]: ${url}, got a mapping with two values for "url"`,
      `g.yaml:15: store.upstreams[10]: ${url}, got a list`,
      `g.yaml:16: store.upstreams[11].url: ${url}, got a mapping`,
      `g.yaml:18: store.builders[0]: ${builder}, got "ssh-ng://user:[redacted]@host"`,
      `g.yaml:19: store.builders[1]: ${builder}, got "ssh-ng://host/path"`,
      `g.yaml:20: store.builders[2]: ${builder}, got "ssh-ng://host?compress=true"`,
      `g.yaml:21: store.builders[3]: ${builder}, got "ssh-ng://%2doProxyCommand"`,
      `g.yaml:23: store.remotes[0]: ${remote}, got "ext::sh -c true"`,
      `g.yaml:24: store.remotes[1]: ${remote}, got "ssh://-oProxyCommand=x/y"`,
      `g.yaml:25: store.remotes[2]: ${remote}, got "svn://host/x"`,
      'g.yaml:27: trust.public_keys[0]: "x" is not a public key: it must be name:base64',
    ])
  })

  it('are as the README shows them', async () => {
    const readme = await readFile(join(import.meta.dirname, '../../../README.md'), 'utf8')
    const text = fencedBlocks(readme, 'yaml').find((block) => block.includes('name: team'))
    assert.deepEqual(names(text!), ['builder.example.org', 'cache.nixos.org', 'team'])
  })

  it('cannot share a given name', () => {
    const text = `store:
  builders: [{url: ssh://a, name: x}]
  upstreams: [https://b, {url: https://c, name: x}]
`
    assert.deepEqual(problems(text), ['g.yaml:3: store.upstreams[1].name: "x" is store.builders[0] already'])
  })

  it('never show a secret in a message', () => {
    const secret = `${'A'.repeat(85)}g==`
    const text = `trust:\n  public_keys: ["k:${secret}", "${secret}"]\nstore:\n  upstreams: ["ftp://u:hidden@h", "ftps://hidden@h"]\n`
    const said = problems(text, { GACHIX__STORE__REMOTES: 'svn://u:hidden@h/x' }).join('\n')
    assert.match(said, /is a secret key where a public key is needed/)
    assert.ok(!said.includes('AAAAAAAAAA'), said)
    assert.ok(!said.includes('u:hidden'), said)
  })

  it('have distinct names whatever their URLs are', () => {
    const url = fc.oneof(
      fc.webUrl(),
      fc.constantFrom('https://a', 'http://a', 'file:///a', 'https://a:1', 'file:///'),
    )
    fc.assert(
      fc.property(fc.array(url, { maxLength: 8 }), (urls) => {
        const plain = urls.map((each) => each.replace(/[?#].*$/, ''))
        const found = names('', { GACHIX__STORE__UPSTREAMS: JSON.stringify(plain) })
        assert.equal(new Set(found).size, plain.length)
      }),
    )
  })
})
