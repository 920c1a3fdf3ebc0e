import assert from 'node:assert/strict'
import { it } from 'node:test'
import { usableAddresses } from '../../../src/peers/mesh/peer-exchange.ts'

it('addresses that peers tell of are dialled only where a peer can be', () => {
  const sound = ['/ip4/192.0.2.1/tcp/4042', '/dns/cache.example/tcp/1', '/ip6/2001:db8::1/tcp/4042']
  const own = ['/ip4/127.0.0.1/tcp/22', '/ip4/127.9.9.9/tcp/1', '/ip6/::1/tcp/1', '/dns4/localhost/tcp/1']
  const useless = [
    ...['/ip4/0.0.0.0/tcp/1', '/ip6/::/tcp/1', '/ip4/169.254.1.1/tcp/1', '/ip6/fe80::1/tcp/1'],
    ...[
      '/ip4/192.0.2.1/udp/1',
      '/ip4/192.0.2.1/tcp/0',
      'cache.example',
      '',
      '/unix/x',
      `/dns/${'x'.repeat(600)}/tcp/1`,
    ],
  ]
  assert.deepEqual(usableAddresses([...own, ...sound, ...useless], false), sound)
  assert.deepEqual(usableAddresses([...own, ...useless], true), own)
})
