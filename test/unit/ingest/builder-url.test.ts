import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BuilderAddress, parseBuilderUrl } from '../../../src/ingest/builder/url.ts'

describe('the URL of a builder', () => {
  const right: [string, BuilderAddress][] = [
    ['ssh-ng://host', { target: { host: 'host', user: 'nix-ssh' }, command: 'nix-daemon --stdio' }],
    ['ssh://host', { target: { host: 'host', user: 'nix-ssh' }, command: 'nix-daemon --stdio' }],
    [
      'ssh-ng://me@host.example:2222/',
      { target: { host: 'host.example', user: 'me', port: 2222 }, command: 'nix-daemon --stdio' },
    ],
    [
      'ssh-ng://a%40b@[fe80::1]:22',
      { target: { host: 'fe80::1', user: 'a@b', port: 22 }, command: 'nix-daemon --stdio' },
    ],
    [
      'ssh-ng://host?remote-program=sudo%20/opt/nix-daemon&remote-store=/srv/a%20b%27c',
      {
        target: { host: 'host', user: 'nix-ssh' },
        command: "sudo /opt/nix-daemon --stdio --store '/srv/a b'\\''c'",
      },
    ],
    [
      'ssh-ng://host?remote-program=a;b%20$(c)&ssh-key=/k%20y',
      {
        target: { host: 'host', user: 'nix-ssh' },
        command: "'a;b' '$(c)' --stdio",
        identityFile: '/k y',
      },
    ],
  ]
  for (const [url, address] of right) {
    it(`is taken apart: ${url}`, () => assert.deepEqual(parseBuilderUrl(url), address))
  }

  const wrong = [
    '',
    'host',
    'https://host',
    'ssh-ng://',
    'ssh-ng:host',
    'ssh-ng://-oProxyCommand=x',
    'ssh-ng://-x@host',
    'ssh-ng://a%0ab@host',
    "ssh-ng://a'b@host",
    'ssh-ng://a%27b@host',
    'ssh-ng://u:pw@host',
    'ssh-ng://host/path',
    'ssh-ng://host#x',
    'ssh-ng://host:99999',
    'ssh-ng://host?compress=true',
    'ssh-ng://host?remote-store=a&remote-store=b',
    'ssh://host?remote-program=nix-store',
  ]
  for (const url of wrong) {
    it(`is refused: ${url}`, () => {
      assert.throws(() => parseBuilderUrl(url), { code: 'ERR_BUILDER_URL' })
    })
  }
})
