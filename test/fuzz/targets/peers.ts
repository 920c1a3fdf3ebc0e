/** What a node reads about peers: addresses that people and peers write, and the file of known peers. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parsePeerAddress } from '../../../src/peers/address.ts'
import { PeerBook } from '../../../src/peers/book/book.ts'
import { usableAddresses } from '../../../src/peers/mesh/peer-exchange.ts'
import { silentLogger } from '../../../src/util/log.ts'
import type { FuzzTarget } from '../target.ts'

const ID = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'
const BOOK = {
  version: 1,
  peers: [
    {
      id: ID,
      name: 'office',
      origin: 'added',
      addresses: ['/ip4/192.0.2.1/tcp/4042'],
      lastSeen: 1,
      penalty: 5,
    },
    { origin: 'configured', addresses: ['/dns/cache.example/tcp/1'], bannedUntil: 2, offence: 'lie: x' },
  ],
}

export const target: FuzzTarget = {
  name: 'peers',
  maxLength: 2048,
  tokens: [
    ...['/ip4/', '/ip6/', '/dns/', '/dns4/', '/tcp/', '/udp/', '/p2p/', '/unix/', '/ip6zone/', '/ipcidr/'],
    ...[
      '"version":1',
      '"peers":[',
      '"id":',
      '"addresses":',
      '"origin":"learnt"',
      '"__proto__":',
      '[',
      ']',
      '{',
      '}',
    ],
    ...[ID, '127.0.0.1', '::1', 'localhost', ':4042', '%2F', '65536', '-1', '1e999', 'null'],
  ],

  seeds: () =>
    [
      'cache.example:4042',
      '[2001:db8::1]:4042',
      '/ip4/192.0.2.1/tcp/4042',
      `/dns4/cache.example/tcp/4042/p2p/${ID}`,
      JSON.stringify(BOOK),
    ].map((text) => Buffer.from(text)),

  run(data, { directory }) {
    const path = join(directory, 'peers.json')
    writeFileSync(path, data)
    const text = data.toString()
    for (const address of usableAddresses([text], true)) {
      const parsed = parsePeerAddress(address)
      assert.equal(parsePeerAddress(parsed.address).address, parsed.address)
    }
    const book = new PeerBook({ path, logger: silentLogger })
    for (const record of book.records) assert.ok(record.addresses.length <= 8)
  },
}
