import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { backoff, FIRST_DELAY, LONGEST_DELAY } from '../../../src/peers/book/backoff.ts'
import { MAX_LEARNT_PEERS, PeerBook } from '../../../src/peers/book/book.ts'
import { BAN_TIME, PENALTY_HALF_LIFE } from '../../../src/peers/book/penalty.ts'
import { MAX_ADDRESSES } from '../../../src/peers/book/record.ts'
import { silentLogger } from '../../../src/util/log.ts'

const A = { address: '/ip4/192.0.2.1/tcp/4042' }
const B = { address: '/ip4/192.0.2.2/tcp/4042', id: 'b' }

let folder: string
let path: string
let time = 1_000_000

const open = () => new PeerBook({ path, logger: silentLogger, now: () => time })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-book-'))
  path = join(folder, 'peers.json')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the book of peers', () => {
  it('remembers what was added, by name, id and address', async () => {
    const book = open()
    await book.add(A, { name: 'office' })
    await book.add(B)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    const again = open()
    assert.deepEqual(again.find('office').addresses, [A.address])
    assert.equal(again.find(A.address), again.find('office'))
    assert.equal(again.find('192.0.2.1:4042'), again.find('office'))
    assert.equal(again.find('b').origin, 'added')
    assert.equal(again.find(`${B.address}/p2p/b`), again.find('b'))
    assert.throws(() => again.find('nobody'), { code: 'ERR_UNKNOWN_PEER', message: /nobody/ })
    await again.remove('office')
    assert.throws(() => open().find('office'), { code: 'ERR_UNKNOWN_PEER' })
  })

  it('pins whoever answered at an address, and joins what turns out to be one peer', async () => {
    const book = open()
    const record = await book.add(A, { name: 'office' })
    const learnt = book.learn('x', ['/ip4/192.0.2.9/tcp/1'])
    const known = book.identify(record, 'x', A.address)
    assert.equal(known, learnt)
    assert.deepEqual([...book.records], [learnt])
    assert.equal(learnt.name, 'office')
    assert.equal(learnt.origin, 'added')
    assert.deepEqual(learnt.addresses, [A.address, '/ip4/192.0.2.9/tcp/1'])
    await book.save()
    assert.equal(open().find('office').id, 'x')
  })

  it('has the peers of the settings, as long as they are there', async () => {
    const book = open()
    book.configure([A, B])
    assert.deepEqual(
      [...book.records].map(({ origin }) => origin),
      ['configured', 'configured'],
    )
    await book.save()
    const later = open()
    later.configure([B])
    assert.equal(later.find(A.address).origin, 'learnt')
    assert.equal(later.find('b').origin, 'configured')
    assert.equal([...later.records].length, 2)
  })

  it('refuses names that are none, or taken', async () => {
    const book = open()
    await book.add(A, { name: 'office' })
    await assert.rejects(book.add(B, { name: 'office' }), { code: 'ERR_PEER_ADDRESS', message: /office/ })
    for (const name of ['', '-x', 'a b', 'x'.repeat(65)]) {
      await assert.rejects(book.add(B, { name }), { code: 'ERR_PEER_ADDRESS' })
    }
    await book.add(A, { name: 'home' })
    assert.throws(() => book.find('office'))
  })

  it('finds a peer that has moved, soon, and keeps where it was', async () => {
    const book = open()
    const record = book.learn('p', ['/ip4/192.0.2.1/tcp/1', '/ip4/192.0.2.1/tcp/2'])
    record.retryAt = time + 3_600_000
    book.learn('p', ['/ip4/192.0.2.1/tcp/2'])
    assert.equal(record.retryAt, time + 3_600_000)
    book.learn('p', ['/ip4/192.0.2.9/tcp/1'])
    assert.equal(record.retryAt, time + FIRST_DELAY)
    assert.deepEqual(
      record.addresses.map((address) => address.slice(5)),
      ['192.0.2.1/tcp/1', '192.0.2.9/tcp/1', '192.0.2.1/tcp/2'],
    )
    const many = Array.from({ length: 20 }, (_, i) => `/ip4/192.0.2.3/tcp/${i + 1}`)
    assert.equal(book.learn('p', many).addresses[0], '/ip4/192.0.2.1/tcp/1')
  })

  it('is bounded: many peers, many addresses', async () => {
    const book = open()
    await book.add(A)
    for (let i = 0; i < 2 * MAX_LEARNT_PEERS; i++) book.learn(`p${i}`, [`/ip4/192.0.2.1/tcp/${i + 1}`])
    assert.equal([...book.records].length, MAX_LEARNT_PEERS + 1)
    const record = book.learn(
      'many',
      Array.from({ length: 50 }, (_, i) => `/ip4/192.0.2.7/tcp/${i + 1}`),
    )
    assert.equal(record.addresses.length, MAX_ADDRESSES)
    book.learn('many', ['/ip4/192.0.2.8/tcp/1'])
    assert.equal(record.addresses.length, MAX_ADDRESSES)
  })

  it('bans a liar for an hour, also over a restart, and lets small things fade', async () => {
    const book = open()
    book.learn('liar', [])
    assert.equal(book.penalize('liar', 'lie', 'wrong objects'), false)
    assert.equal(book.penalty('liar'), 50)
    time += PENALTY_HALF_LIFE
    assert.equal(book.penalty('liar'), 25)
    book.penalize('liar', 'lie', 'again')
    assert.equal(book.penalize('liar', 'lie', 'and again'), true)
    assert.equal(book.isBanned('liar'), true)
    await book.save()
    const again = open()
    assert.equal(again.isBanned('liar'), true)
    assert.equal(again.get('liar')?.offence, 'lie: and again')
    time += BAN_TIME
    assert.equal(again.isBanned('liar'), false)
  })

  it('says which file is damaged, and leaves it alone', async () => {
    for (const text of ['', '{}', '{"version":2,"peers":[]}', '[', 'x'.repeat(5_000_000)]) {
      await writeFile(path, text)
      assert.throws(open, { code: 'ERR_PEER_BOOK', message: /peers\.json/ })
      assert.equal(await readFile(path, 'utf8'), text)
    }
  })
})

describe('the time until the next dial', () => {
  it('doubles from three seconds to an hour, and is spread', () => {
    assert.equal(backoff(1, { random: () => 0 }), FIRST_DELAY * 0.75)
    assert.equal(backoff(3, { random: () => 0.5 }), FIRST_DELAY * 4)
    for (let failures = 1; failures < 2000; failures += 7) {
      const delay = backoff(failures)
      assert.ok(delay >= FIRST_DELAY * 0.75 && delay <= LONGEST_DELAY)
    }
    assert.equal(backoff(40), LONGEST_DELAY)
  })

  it('of a peer that was here last an eighth of the time that it is gone at most', () => {
    const middle = { random: () => 0.5 }
    assert.equal(backoff(10, middle, 0), FIRST_DELAY)
    assert.equal(backoff(10, middle, 80_000), 10_000)
    assert.equal(backoff(1, middle, 80_000), FIRST_DELAY)
    assert.equal(backoff(40, middle, 1e12), LONGEST_DELAY)
  })
})
