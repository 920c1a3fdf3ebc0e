import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatPeerAddress, isListenAddress, isPeerId, parsePeerAddress } from '../../../src/peers/address.ts'
import { PeerAddressError } from '../../../src/peers/errors.ts'

const ID = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'

describe('addresses of peers', () => {
  it('are hosts with ports', () => {
    assert.deepEqual(parsePeerAddress('cache.example:4042'), { address: '/dns/cache.example/tcp/4042' })
    assert.deepEqual(parsePeerAddress('192.0.2.1:1'), { address: '/ip4/192.0.2.1/tcp/1' })
    assert.deepEqual(parsePeerAddress('[2001:db8::1]:65535'), { address: '/ip6/2001:db8::1/tcp/65535' })
  })

  it('are multiaddrs, with or without an id', () => {
    const whole = `/dns4/cache.example/tcp/4042/p2p/${ID}`
    const parsed = parsePeerAddress(whole)
    assert.deepEqual(parsed, { address: '/dns4/cache.example/tcp/4042', id: ID })
    assert.equal(formatPeerAddress(parsed), whole)
    assert.equal(formatPeerAddress(parsePeerAddress('/ip4/192.0.2.1/tcp/1')), '/ip4/192.0.2.1/tcp/1')
  })

  const wrong = [
    ...['', 'cache.example', ':4042', 'a:', 'a:0', 'a:65536', 'a b:1', '-x:1', '::1:4042', '[a]:1', 'a/b:1'],
    ...['/ip4/192.0.2.1', '/ip4/192.0.2.1/udp/1', '/ip4/192.0.2.1/tcp/0', '/ip4/300.0.2.1/tcp/1'],
    ...['/ip4/192.0.2.1/tcp/1/p2p/abc', '/ip4/192.0.2.1/tcp/1/ws', '/dnsaddr/x.example', '/unix/tmp%2Fx'],
    ...[`/ip4/192.0.2.1/tcp/1/p2p/${ID}/p2p-circuit`, `x${'y'.repeat(600)}:1`],
  ]
  for (const text of wrong) {
    it(`are not ${text.slice(0, 60)}`, () => assert.throws(() => parsePeerAddress(text), PeerAddressError))
  }

  it('are nothing else, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), fc.boolean(), (text, multi) => {
        try {
          const { address } = parsePeerAddress(multi ? `/${text}` : text)
          assert.equal(parsePeerAddress(address).address, address)
        } catch (error) {
          assert.ok(error instanceof PeerAddressError)
        }
      }),
    )
  })

  it('to listen on have no id, and may leave the port open', () => {
    for (const text of ['/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/4042', '/dns4/x.example/tcp/1']) {
      assert.equal(isListenAddress(text), true, text)
    }
    for (const text of [`/ip4/0.0.0.0/tcp/1/p2p/${ID}`, '0.0.0.0:1', '/ip4/0.0.0.0/udp/1', '/ip4/x/tcp/1']) {
      assert.equal(isListenAddress(text), false, text)
    }
    assert.equal(isPeerId(ID), true)
    for (const text of ['', 'abc', `${ID}x`, ` ${ID}`]) assert.equal(isPeerId(text), false, text)
  })
})
