/** Texts that say where packages are: URLs of builders and caches, `nix-cache-info`. Each line of the input is all of them. */
import assert from 'node:assert/strict'
import { isSshHost, isSshUser, sshArguments } from '../../../src/git/transport/ssh.ts'
import { parseBuilderUrl } from '../../../src/ingest/builder/url.ts'
import { parseUpstreamUrl } from '../../../src/ingest/upstream/url.ts'
import { parseCacheInfo } from '../../../src/nix/cache-info.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

export const target: FuzzTarget = {
  name: 'sources',
  maxLength: 2048,
  tokens: [
    ...[
      'ssh-ng://',
      'ssh://',
      'https://',
      'http://',
      'file:///',
      '@',
      ':',
      '[::1]',
      '?',
      '&',
      '=',
      '#',
      '/',
      '-o',
      '%2d',
      '%0a',
      '%27',
    ],
    ...[
      'remote-program',
      'remote-store',
      'ssh-key',
      'nix-daemon',
      "'",
      '"',
      '$(',
      '`',
      ';',
      ' ',
      '\n',
      'StoreDir: ',
      'Priority: ',
      'WantMassQuery: 1',
    ],
  ],

  seeds: () =>
    [
      'ssh-ng://user@host:22?remote-program=a%20b&remote-store=/x',
      'https://user:password@cache.example.org/a/',
      'file:///srv/cache',
      'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n',
    ].map((text) => Buffer.from(text)),

  run(data) {
    const text = data.toString()
    for (const line of text.split('\n')) {
      attempt(() => {
        const { target, command } = parseBuilderUrl(line)
        assert.ok(isSshHost(target.host) && isSshUser(target.user!))
        assert.ok(!target.host.startsWith('-') && !target.user!.startsWith('-'))
        const args = sshArguments(target, { command })
        assert.deepEqual(args.slice(-3), ['--', target.host, command])
      })
      attempt(() => {
        const address = parseUpstreamUrl(line)
        if (address.kind === 'file') return void assert.ok(address.folder.startsWith('/'))
        assert.ok(address.base.pathname.endsWith('/'))
        assert.equal(address.base.username + address.base.password, '')
      })
    }
    attempt(() => assert.ok(Number.isSafeInteger(parseCacheInfo(text).priority)))
  },
}

function attempt(work: () => void): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof GachixError)) throw error
  }
}
