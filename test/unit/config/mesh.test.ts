import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError } from '../../../src/config/errors.ts'
import { parseConfig } from '../../../src/config/parse.ts'
import type { Config } from '../../../src/config/schema.ts'

const ID = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'

function mesh(lines: string): Config['mesh'] {
  const text = `mesh:\n${lines.replaceAll(/^/gm, '  ')}\n`
  return parseConfig(text, 'g.yaml').config.mesh
}

describe('settings of the mesh', () => {
  it('take peers by host and port or as multiaddrs, with or without an id', () => {
    const peers = [
      'cache.example:4042',
      '[2001:db8::1]:1',
      '/ip4/192.0.2.1/tcp/4042',
      `/dns4/x/tcp/1/p2p/${ID}`,
    ]
    assert.deepEqual(mesh(`peers: ${JSON.stringify(peers)}`).peers, peers)
    for (const wrong of [
      'cache.example',
      'a:0',
      '/ip4/192.0.2.1/udp/4042',
      '/ip4/1.2.3.4/tcp/1/p2p/abc',
      '-x:1',
    ]) {
      assert.throws(() => mesh(`peers: ["${wrong}"]`), ConfigError, wrong)
    }
  })

  it('take addresses to listen on, none of which names a peer', () => {
    assert.deepEqual(mesh('listen: ["/ip6/::/tcp/0"]').listen, ['/ip6/::/tcp/0'])
    assert.deepEqual(mesh('listen: []').listen, [])
    assert.throws(() => mesh(`listen: ["/ip4/0.0.0.0/tcp/1/p2p/${ID}"]`), ConfigError)
    assert.throws(() => mesh('listen: ["0.0.0.0:4042"]'), ConfigError)
  })

  it('take a word or patterns for what is shared and fetched', () => {
    assert.equal(mesh('share: off').share, 'off')
    assert.equal(mesh('sync: mirror').sync, 'mirror')
    assert.deepEqual(mesh('share: ["hello-*", "*-doc"]').share, ['hello-*', '*-doc'])
    assert.deepEqual(mesh('sync: "hello-*"').sync, ['hello-*'])
    for (const wrong of ['share: []', 'share: [all, "x-*"]', 'share: ["a/b"]', 'sync: [""]']) {
      assert.throws(() => mesh(wrong), ConfigError, wrong)
    }
  })

  it('take names of networks and ids of peers', () => {
    assert.equal(mesh('network: team.example-1').network, 'team.example-1')
    assert.deepEqual(mesh(`allow: [${ID}]`).allow, [ID])
    for (const wrong of ['network: Team', 'network: "a/b"', 'allow: [me]', 'policy: closed']) {
      assert.throws(() => mesh(wrong), ConfigError, wrong)
    }
  })
})
