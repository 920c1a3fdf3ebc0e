import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from '../../../src/config/errors.ts'
import { type Environment, formatOrigin, type Override, parseConfig } from '../../../src/config/parse.ts'
import { environmentName, SETTING_LIST } from '../../../src/config/schema.ts'
import type { SourceSetting } from '../../../src/config/sources.ts'
import { MAX_FILE_SIZE } from '../../../src/config/yaml.ts'
import { PublicKey } from '../../../src/nix/signature.ts'

/** The problems that parsing finds, each as `where: key: message`. */
function problems(text: string, env: Environment = {}, overrides: Override[] = []): string[] {
  try {
    parseConfig(text, 'g.yaml', env, overrides)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    assert.equal(error.code, 'ERR_CONFIG')
    return error.problems.map(({ where, key, message }) => [where, ...(key ? [key] : []), message].join(': '))
  }
  return []
}

const MESH_DEFAULTS = {
  enabled: true,
  listen: ['/ip4/0.0.0.0/tcp/4042'],
  announce: [],
  network: 'default',
  policy: 'open',
  peers: [],
  allow: [],
  mdns: false,
  preSharedKeyPath: undefined,
  sync: 'on-demand',
  share: 'all',
  uploadLimit: 0,
  downloadLimit: 0,
}

const NIXOS_KEY = 'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='

/** A source of which only the URL was said. */
function source(url: string, name: string): SourceSetting {
  return { url, name, requireSignatures: true, publicKeys: [] }
}

const FULL = `
log_level: debug
store:
  path: /srv/cache
  store_dir: /tmp/store
  use_local_nix_daemon: false
  builders:
    - ssh-ng://nix@builder:2222
    - ssh://other
  remotes: [ssh://git@host/repo, "git@host:repo", https://host/git, file:///srv/x, ../y]
  upstreams:
    - https://cache.nixos.org
    - url: https://me:pw@cache.example.org/nix
      name: mine
      require_signatures: false
      public_keys: ["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]
  upstream_timeout: 500
  sign_private_key_path: key
  ssh_private_key_path: ~
  compression_level: 9
trust:
  public_keys: ["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]
server:
  host: 0.0.0.0
  port: 0
  priority: 10
  want_mass_query: false
  max_transfers: 3
  workers: 4
`

describe('settings', () => {
  it('are the documented defaults without any source', () => {
    const { config, origins } = parseConfig(undefined, '')
    assert.deepEqual(config, {
      logLevel: 'info',
      store: {
        path: './cache',
        storeDir: '/nix/store',
        useLocalNixDaemon: true,
        builders: [],
        remotes: [],
        upstreams: [],
        upstreamTimeout: 2000,
        signPrivateKeyPath: undefined,
        sshPrivateKeyPath: undefined,
        compressionLevel: 5,
      },
      trust: { publicKeys: [] },
      mesh: MESH_DEFAULTS,
      server: {
        host: 'localhost',
        port: 8080,
        priority: 30,
        wantMassQuery: true,
        git: true,
        maxTransfers: 256,
        workers: 0,
      },
    })
    assert.deepEqual([...new Set([...origins.values()].map(formatOrigin))], ['default'])
    assert.deepEqual([...origins.keys()].sort(), SETTING_LIST.map(({ key }) => key).sort())
  })

  it('are read from a file, with the line of each', () => {
    const { config, origins } = parseConfig(FULL, 'g.yaml')
    assert.deepEqual(config, {
      logLevel: 'debug',
      store: {
        path: '/srv/cache',
        storeDir: '/tmp/store',
        useLocalNixDaemon: false,
        builders: [source('ssh-ng://nix@builder:2222', 'builder:2222'), source('ssh://other', 'other')],
        remotes: [
          source('ssh://git@host/repo', 'host'),
          source('git@host:repo', 'host-2'),
          source('https://host/git', 'host-3'),
          source('file:///srv/x', 'x'),
          source('../y', 'y'),
        ],
        upstreams: [
          source('https://cache.nixos.org', 'cache.nixos.org'),
          {
            ...source('https://me:pw@cache.example.org/nix', 'mine'),
            requireSignatures: false,
            publicKeys: [PublicKey.parse(NIXOS_KEY)],
          },
        ],
        upstreamTimeout: 500,
        signPrivateKeyPath: 'key',
        sshPrivateKeyPath: undefined,
        compressionLevel: 9,
      },
      trust: { publicKeys: [PublicKey.parse(NIXOS_KEY)] },
      mesh: MESH_DEFAULTS,
      server: {
        host: '0.0.0.0',
        port: 0,
        priority: 10,
        wantMassQuery: false,
        git: true,
        maxTransfers: 3,
        workers: 4,
      },
    })
    assert.equal(formatOrigin(origins.get('store.store_dir')!), 'g.yaml:5')
    assert.equal(formatOrigin(origins.get('store.ssh_private_key_path')!), 'default')
  })

  it('may have empty sections, comments only, Windows line ends and a byte order mark', () => {
    for (const text of ['', '# nothing\n', 'store:\nserver:\n', '---\n', '{}']) {
      assert.deepEqual(parseConfig(text, 'g.yaml').config, parseConfig(undefined, '').config)
    }
    const { config, origins } = parseConfig('\ufeffserver:\r\n  port: 1\r\n', 'g.yaml')
    assert.equal(config.server.port, 1)
    assert.equal(formatOrigin(origins.get('server.port')!), 'g.yaml:2')
  })

  it('from the environment win over the file, flags over both', () => {
    const env = {
      GACHIX__LOG_LEVEL: 'warn',
      GACHIX__STORE__REMOTES: ' a, b,,c ',
      GACHIX__STORE__BUILDERS: '',
      GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: '',
      GACHIX__STORE__USE_LOCAL_NIX_DAEMON: 'Yes',
      GACHIX__SERVER__PORT: '81',
      GACHIX__SERVER__PRIORITY: '40',
      HOME: '/nowhere',
    }
    const flags = [{ key: 'server.port', text: '82', flag: '--port' }]
    const { config, origins } = parseConfig(FULL, 'g.yaml', env, flags)
    assert.equal(config.logLevel, 'warn')
    assert.deepEqual(
      config.store.remotes.map(({ url }) => url),
      ['a', 'b', 'c'],
    )
    assert.deepEqual(config.store.builders, [])
    assert.equal(config.store.signPrivateKeyPath, undefined)
    assert.equal(config.store.useLocalNixDaemon, true)
    assert.equal(config.server.port, 82)
    assert.equal(config.server.priority, 40)
    assert.equal(formatOrigin(origins.get('server.port')!), 'flag --port')
    assert.equal(formatOrigin(origins.get('server.priority')!), 'env GACHIX__SERVER__PRIORITY')
  })

  it('has a variable for every key, and text forms of all defaults that mean the same', () => {
    const env: Record<string, string> = {}
    for (const { key, setting } of SETTING_LIST) env[environmentName(key)] = String(setting.default ?? '')
    assert.deepEqual(parseConfig(undefined, '', env).config, parseConfig(undefined, '').config)
    assert.equal(environmentName('store.path'), 'GACHIX__STORE__PATH')
  })
})

describe('wrong settings', () => {
  it('are all named with file, line, key, expectation and finding', () => {
    const text = `log_level: loud
store:
  path: ""
  builders:
    - ssh://a
    - ssh://-oProxyCommand=x
    - https://b
  remotes: ssh://a
  store_dir: /nix/store/
  compression_level: 10
server:
  host: localhost:80
  port: eighty
  want_mass_query: yes
`
    assert.deepEqual(problems(text), [
      'g.yaml:1: log_level: expected one of trace, debug, info, warn, error, silent, got "loud"',
      'g.yaml:3: store.path: expected a path, got ""',
      'g.yaml:6: store.builders[1]: expected ssh-ng://[user@]host[:port] or ssh://[user@]host[:port], got "ssh://-oProxyCommand=x"',
      'g.yaml:7: store.builders[2]: expected ssh-ng://[user@]host[:port] or ssh://[user@]host[:port], got "https://b"',
      'g.yaml:8: store.remotes: expected a list of Git repositories, got "ssh://a"',
      'g.yaml:9: store.store_dir: expected an absolute directory without a slash at the end, got "/nix/store/"',
      'g.yaml:10: store.compression_level: expected a whole number from 1 to 9, got 10',
      'g.yaml:12: server.host: expected a host name or an IP address without port or brackets, got "localhost:80"',
      'g.yaml:13: server.port: expected a whole number from 0 to 65535, got "eighty"',
      'g.yaml:14: server.want_mass_query: expected true or false, got "yes"',
    ])
  })

  it('include unknown keys, with the nearest known one', () => {
    assert.deepEqual(problems('server:\n  prot: 1\nbuilders: []\nsrver:\n  port: 1\nzzzzzzzzzzzz: 1\n'), [
      'g.yaml:2: server.prot: unknown key, did you mean server.port?',
      'g.yaml:3: builders: unknown key, did you mean store.builders?',
      'g.yaml:4: srver: unknown key, did you mean server?',
      'g.yaml:6: zzzzzzzzzzzz: unknown key; see gachix config show for all of them',
    ])
    assert.equal(problems('__proto__:\n  x: 1\nconstructor: 1\n').length, 2)
    assert.equal(problems('store:\n  __proto__: 1\n').length, 1)
  })

  it('include unknown and wrong variables and flags, together with the file', () => {
    const env = {
      GACHIX__STORE__PTH: 'x',
      GACHIX__store__path: 'x',
      GACHIX__SERVER__PORT: '65536',
      GACHIX__SERVER__HOST: '',
    }
    const flags = [{ key: 'server.port', text: '8e1', flag: '--port' }]
    assert.deepEqual(problems('a: 1', env, flags), [
      'g.yaml:1: a: unknown key; see gachix config show for all of them',
      'GACHIX__STORE__PTH: unknown variable, did you mean GACHIX__STORE__PATH?',
      'GACHIX__store__path: unknown variable, did you mean GACHIX__STORE__PATH?',
      'GACHIX__SERVER__PORT: server.port: expected a whole number from 0 to 65535, got 65536',
      'GACHIX__SERVER__HOST: server.host: expected a host name or an IP address without port or brackets, got ""',
      '--port: server.port: expected a whole number from 0 to 65535, got "8e1"',
    ])
  })

  it('include what YAML allows and settings have no use for', () => {
    assert.deepEqual(problems('server:\n  port: 1\n  port: 2\n'), [
      'g.yaml:3: server.port: set twice, first on line 2',
    ])
    assert.deepEqual(problems('log_level: info\n---\nlog_level: info\n'), [
      'g.yaml:2: a second document begins here; settings are one document',
    ])
    assert.deepEqual(problems('store: &s\n  path: x\nserver: *s\n'), [
      'g.yaml:3: server: expected settings as "key: value" lines, got an alias',
    ])
    assert.deepEqual(problems('- a\n'), [
      'g.yaml:1: the file: expected settings as "key: value" lines, got a list',
    ])
    assert.deepEqual(problems('store:\n  path: {a: 1}\n'), [
      'g.yaml:2: store.path: expected a path, got a mapping',
    ])
    assert.deepEqual(problems('? [a]\n: 1\n'), ['g.yaml:1: expected the name of a setting, got a list'])
    assert.deepEqual(problems('1: 2\n'), ['g.yaml:1: expected the name of a setting, got 1'])
    assert.match(problems('store:\n  path: !thing x\n')[0]!, /^g\.yaml:2: unresolved tag/)
  })

  it('include broken YAML, at its line', () => {
    assert.match(problems('store:\n  path: [1\nserver: 2\n')[0]!, /^g\.yaml:[23]: flow sequence/)
    assert.match(problems('store:\n\tpath: x\n')[0]!, /^g\.yaml:2: /)
  })

  it('are told in one message, a long list cut', () => {
    const lines = Array.from({ length: 30 }, (_, i) => `key${i}: 1`).join('\n')
    assert.throws(
      () => parseConfig(lines, 'g.yaml'),
      ({ message }: Error) =>
        message.startsWith('the configuration has 30 problems:\n  g.yaml:1: key0:') &&
        message.endsWith('and 10 more'),
    )
  })
})

describe('hostile settings files', () => {
  const hostile = (name: string, text: string) =>
    it(`end in a ConfigError: ${name}`, () => {
      assert.notDeepEqual(problems(text.slice(0, MAX_FILE_SIZE)), [])
    })
  hostile('deep flow sequences', '['.repeat(MAX_FILE_SIZE))
  hostile('deep block sequences', '- '.repeat(MAX_FILE_SIZE / 2))
  hostile('deep flow mappings', '{a: '.repeat(MAX_FILE_SIZE / 4))
  hostile('deep complex keys', '? '.repeat(MAX_FILE_SIZE / 2))
  hostile('many anchors', '&a '.repeat(MAX_FILE_SIZE / 3))
  hostile('many documents', '---\n'.repeat(MAX_FILE_SIZE / 4))
  hostile('many keys', Array.from({ length: 10_000 }, (_, i) => `k${i}:`).join('\n'))
  hostile(
    'an alias bomb',
    `a: &a [x,x,x,x,x,x,x,x]\n${Array.from('bcdefghij', (name, i) => `${name}: &${name} [${`*${'abcdefghij'[i]},`.repeat(8)}]`).join('\n')}`,
  )

  it('are refused above the size limit without being parsed', () => {
    assert.deepEqual(problems(`#${'x'.repeat(MAX_FILE_SIZE)}`), [
      `g.yaml: larger than the ${MAX_FILE_SIZE} bytes that settings may take`,
    ])
  })
})

describe('any text', () => {
  const pieces = fc.constantFrom(
    ...SETTING_LIST.flatMap(({ key }) => key.split('.')),
    ...[
      'store',
      'server',
      ':',
      ': ',
      '\n',
      '\n  ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      '"',
      "'",
      '|',
      '>',
      '&a ',
      '*a',
      '!!str ',
    ],
    ...[
      '#',
      '---\n',
      '...',
      '%YAML 1.2\n',
      '<<: ',
      '? ',
      '~',
      'null',
      '8080',
      '0x10',
      '1e9',
      '.inf',
      '\t',
      '\r\n',
      '\u0000',
      '\ud800',
    ],
  )
  const yamlLike = fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join(''))

  it('either loads or gives a ConfigError whose lines exist', () => {
    fc.assert(
      fc.property(fc.oneof(yamlLike, fc.string({ unit: 'binary' }), fc.json()), (text) => {
        const lines = text.split('\n').length
        for (const problem of problems(text)) {
          const line = /^g\.yaml:(\d+)/.exec(problem)?.[1]
          assert.ok(line === undefined || (Number(line) >= 1 && Number(line) <= lines), problem)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('in a variable either loads or gives a ConfigError that names it', () => {
    const names = fc.constantFrom(...SETTING_LIST.map(({ key }) => environmentName(key)))
    fc.assert(
      fc.property(names, fc.string({ unit: 'binary' }), (name, text) => {
        for (const problem of problems('', { [name]: text })) assert.ok(problem.startsWith(`${name}: `))
      }),
    )
  })
})
