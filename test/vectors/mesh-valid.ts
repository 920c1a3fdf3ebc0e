/** Messages, and their one encoding. */
import { hash } from 'node:crypto'
import {
  b,
  head,
  headNext,
  headValue,
  oid,
  peer,
  signature,
  signed,
  sortedThree,
  state,
  stateValue,
  t,
  three,
  time,
  v,
  value16,
} from './mesh-parts.ts'

export const VALID_MESSAGES = [
  { message: 'head', value: headValue, hex: head, later: headNext },
  { message: 'signed head', value: { body: head, signature: signature(head) }, hex: signed(head) },
  {
    message: 'refusal',
    value: { code: 2, reason: 'later' },
    hex: v(1, 2) + t(2, 'later'),
    later: v(1, 2) + t(2, 'later') + v(3, 1),
  },
  { message: 'refusal', value: {}, hex: '' },
  {
    message: 'hello',
    value: {
      network: 'a',
      minor: 3,
      oldestMinor: 1,
      features: ['bulk', 'zstd'],
      agent: 'gachix/1',
      head: '0a00',
      yours: '0b',
    },
    hex:
      t(1, 'a') +
      v(2, 3) +
      v(3, 1) +
      t(4, 'bulk') +
      t(4, 'zstd') +
      t(5, 'gachix/1') +
      b(6, '0a00') +
      b(7, '0b'),
  },
  {
    message: 'hello',
    value: { network: 'a', minor: 1, oldestMinor: 1 },
    hex: t(1, 'a') + v(2, 1) + v(3, 1),
  },
  { message: 'heads request', value: { fingerprint: '0102030405060708' }, hex: b(1, '0102030405060708') },
  {
    message: 'heads request',
    value: { heads: ['0a', '0b'], want: [peer] },
    hex: b(2, '0a') + b(2, '0b') + b(3, peer),
  },
  {
    message: 'heads answer',
    value: { differs: true, known: [{ peer, epoch: time, seq: 300 }], heads: ['0c'] },
    hex: v(1, 1) + b(2, b(1, peer) + v(2, time) + v(3, 300)) + b(3, '0c'),
  },
  { message: 'heads answer', value: {}, hex: '' },
  {
    message: 'inventory request',
    value: { epoch: time, log: { after: 8 } },
    hex: v(1, time) + b(2, v(1, 8)),
  },
  { message: 'inventory request', value: { epoch: time, log: {} }, hex: v(1, time) + b(2, '') },
  { message: 'inventory request', value: { snapshot: {} }, hex: b(3, '') },
  {
    message: 'inventory request',
    value: { epoch: 1, snapshot: { after: three[0] } },
    hex: v(1, 1) + b(3, b(1, three[0]!)),
  },
  {
    message: 'inventory request',
    value: { epoch: 1, digest: { level: 1, nodes: '0000000f' } },
    hex: v(1, 1) + b(4, v(1, 1) + b(2, '0000000f')),
  },
  {
    message: 'inventory request',
    value: { epoch: 1, buckets: { buckets: '0000ffff' } },
    hex: v(1, 1) + b(5, b(1, '0000ffff')),
  },
  {
    message: 'inventory answer',
    value: { ...stateValue, log: { start: 7, changes: `01${three[0]}00${three[1]}` } },
    hex: state + b(6, v(1, 7) + b(2, `01${three[0]}00${three[1]}`)),
  },
  {
    message: 'inventory answer',
    value: { ...stateValue, snapshot: { hashes: sortedThree.join(''), more: true } },
    hex: state + b(7, b(1, sortedThree.join('')) + v(2, 1)),
  },
  {
    message: 'inventory answer',
    value: { ...stateValue, digest: { values: value16 } },
    hex: state + b(8, b(1, value16)),
  },
  {
    message: 'inventory answer',
    value: { ...stateValue, buckets: { listed: 2, hashes: sortedThree.join('') } },
    hex: state + b(9, v(1, 2) + b(2, sortedThree.join(''))),
  },
  {
    message: 'inventory answer',
    value: { ...stateValue, refusal: { code: 6 } },
    hex: state + b(15, v(1, 6)),
  },
  { message: 'have request', value: { hashes: three.join('') }, hex: b(1, three.join('')) },
  {
    message: 'have answer',
    value: {
      packages: [
        { hash: three[0], narinfo: oid('a'), commit: oid('b') },
        { hash: three[1], narinfo: oid('c') },
      ],
    },
    hex: b(1, b(1, three[0]!) + b(2, oid('a')) + b(3, oid('b'))) + b(1, b(1, three[1]!) + b(2, oid('c'))),
  },
  { message: 'narinfos request', value: { hashes: three.join('') }, hex: b(1, three.join('')) },
  {
    message: 'narinfo',
    value: { hash: three[0], blob: '53746f7265506174683a0a' },
    hex: b(1, three[0]!) + b(2, '53746f7265506174683a0a'),
  },
  {
    message: 'want',
    value: { wants: oid('1'), haves: oid('2') + oid('3'), omitBlobs: true },
    hex: b(1, oid('1')) + b(2, oid('2') + oid('3')) + v(3, 1),
  },
  { message: 'want', value: { wants: oid('1') }, hex: b(1, oid('1')) },
  { message: 'frame', value: { data: '00ff' }, hex: b(1, '00ff') },
  {
    message: 'frame',
    value: { end: { length: 2, sha256: hash('sha256', Buffer.from([0, 255])) } },
    hex: b(2, v(1, 2) + b(2, hash('sha256', Buffer.from([0, 255])))),
  },
  { message: 'frame', value: { refusal: { code: 3, reason: 'gone' } }, hex: b(3, v(1, 3) + t(2, 'gone')) },
  { message: 'credit', value: { bytes: 2 * 1024 * 1024 }, hex: v(1, 2 * 1024 * 1024) },
  { message: 'peers request', value: { limit: 8 }, hex: v(1, 8) },
  {
    message: 'peers answer',
    value: { peers: [{ peer, addresses: ['0401020304060fca'] }] },
    hex: b(1, b(1, peer) + b(2, '0401020304060fca')),
  },
]
