/** The server side of fetching without a transport, over repositories that the real `git` made. */
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  encodePkt,
  FLUSH_PKT,
  type Packet,
  PktReader,
  pktText,
} from '../../../../src/git/protocol/pkt-line.ts'
import { type OpenedUploadPack, openUploadPack } from '../../../../src/git/protocol/upload-pack/open.ts'
import { AbortedError } from '../../../../src/util/errors.ts'
import { collect } from '../../../support/collect.ts'
import { type GitFixture, history } from '../../../support/git-fixture.ts'
import { v2Request } from '../../../support/git-request.ts'
import { fixtureFor } from '../../../support/object-database.ts'

interface Served {
  readonly fixture: GitFixture
  readonly server: OpenedUploadPack['server']
  readonly tip: string
  readonly first: string
}

async function serve(t: TestContext): Promise<Served> {
  const fixture = await fixtureFor(t)
  await fixture.fastImport(history())
  await fixture.git('symbolic-ref', 'HEAD', 'refs/heads/main')
  const opened = await openUploadPack(fixture.gitDir, { agent: 'test/1', onError: assert.ifError })
  t.after(() => opened.close())
  const list = (await fixture.git('rev-list', 'main')).toString().trim().split('\n')
  return { fixture, server: opened.server, tip: list[0]!, first: list.at(-1)! }
}

async function* one(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield Buffer.concat(parts)
}

/** Packets as text, separators by their names. */
async function packetsOf(bytes: AsyncIterable<Uint8Array>): Promise<string[]> {
  const reader = new PktReader(bytes)
  const texts: string[] = []
  for (
    let packet: Packet | undefined = await reader.read();
    packet !== undefined;
    packet = await reader.read()
  ) {
    texts.push(packet.type === 'data' ? pktText(packet.payload) : packet.type)
  }
  return texts
}

/** The bytes of band 1 in the packets that follow the wanted line. */
async function packIn(bytes: AsyncIterable<Uint8Array>, after: string): Promise<Buffer> {
  const reader = new PktReader(bytes)
  const parts: Buffer[] = []
  let begun = false
  for (let packet = await reader.read(); packet !== undefined; packet = await reader.read()) {
    if (packet.type !== 'data') continue
    if (begun && packet.payload[0] === 1) parts.push(Buffer.from(packet.payload.subarray(1)))
    if (pktText(packet.payload) === after) begun = true
  }
  return Buffer.concat(parts)
}

/** Checks a pack with the real git, and gives the number of its objects. */
async function objectsIn(t: TestContext, pack: Uint8Array): Promise<number> {
  const receiver = await fixtureFor(t)
  await mkdir(receiver.packDir, { recursive: true })
  await receiver.gitWith(pack, 'index-pack', '--stdin', join(receiver.packDir, 'pack-x.pack'))
  return (await receiver.oids()).length
}

const V2 = { version: 2, stateless: true } as const
const V0 = { version: 0, stateless: true } as const

test('version 2 says what it can do', async (t) => {
  const { server } = await serve(t)
  assert.deepEqual(await packetsOf(server.advertise(2)), [
    'version 2',
    'agent=test/1',
    'ls-refs=unborn',
    'fetch=filter wait-for-done',
    'object-format=sha1',
    'flush',
  ])
  assert.equal((await packetsOf(server.advertise(1)))[0], 'version 1')
})

test('refs: HEAD, prefixes, and a branch that is not there yet', async (t) => {
  const { server, fixture, tip } = await serve(t)
  const ask = (...lines: string[]): Promise<string[]> =>
    packetsOf(server.serve(one(v2Request('ls-refs', lines)), V2))
  assert.deepEqual(await ask('symrefs'), [
    `${tip} HEAD symref-target:refs/heads/main`,
    `${tip} refs/heads/main`,
    'flush',
  ])
  assert.deepEqual(await ask('ref-prefix HEAD'), [`${tip} HEAD`, 'flush'])
  assert.deepEqual(await ask('ref-prefix refs/heads/', 'ref-prefix refs/', 'ref-prefix refs/heads/m'), [
    `${tip} refs/heads/main`,
    'flush',
  ])
  assert.deepEqual(await ask('ref-prefix refs/none'), ['flush'])
  await fixture.git('symbolic-ref', 'HEAD', 'refs/heads/other')
  assert.deepEqual(await ask('unborn', 'symrefs', 'ref-prefix H'), [
    'unborn HEAD symref-target:refs/heads/other',
    'flush',
  ])
  assert.deepEqual(await ask('ref-prefix H'), ['flush'])
  // What another process adds is seen by the next request.
  await fixture.git('update-ref', 'refs/tags/new', tip)
  assert.deepEqual(await ask('peel', 'ref-prefix refs/tags/'), [`${tip} refs/tags/new`, 'flush'])
})

test('rounds of haves are acknowledged until the client is done', async (t) => {
  const { server, tip, first } = await serve(t)
  const unknown = '1234567890123456789012345678901234567890'
  const ask = (...lines: string[]) => server.serve(one(v2Request('fetch', [`want ${tip}`, ...lines])), V2)
  assert.deepEqual(await packetsOf(ask(`have ${unknown}`)), ['acknowledgments', 'NAK', 'flush'])
  const known = ['acknowledgments', `ACK ${first}`, 'flush']
  assert.deepEqual(await packetsOf(ask(`have ${unknown}`, `have ${first}`)), known)
  assert.deepEqual(await packetsOf(ask(`have ${first}`, 'wait-for-done')), known)
  const all = await objectsIn(t, await packIn(ask('done'), 'packfile'))
  const fewer = await objectsIn(t, await packIn(ask(`have ${first}`, 'done'), 'packfile'))
  assert.ok(fewer < all)
})

test('several requests go over one connection', async (t) => {
  const { server, tip } = await serve(t)
  const requests = one(
    v2Request('ls-refs', ['ref-prefix refs/heads/']),
    v2Request('fetch', []),
    v2Request('ls-refs', []),
  )
  const answer = await packetsOf(server.serve(requests, { version: 2, stateless: false }))
  assert.deepEqual(answer, [
    `${tip} refs/heads/main`,
    'flush',
    `${tip} HEAD`,
    `${tip} refs/heads/main`,
    'flush',
  ])
})

for (const [capabilities, frame] of [
  ['side-band-64k', 65520],
  ['side-band', 1000],
  ['', undefined],
] as const) {
  test(`version 0 sends packs framed as asked for: ${capabilities || 'not at all'}`, async (t) => {
    const { server, fixture, tip } = await serve(t)
    const wants = [encodePkt(`want ${tip} ${capabilities}\n`), FLUSH_PKT, encodePkt('done\n')]
    const answer = await collect(server.serve(one(...wants), V0))
    assert.equal(answer.toString('latin1', 0, 8), '0008NAK\n')
    if (frame === undefined) {
      assert.equal(await objectsIn(t, answer.subarray(8)), (await fixture.oids()).length)
      return
    }
    const reader = new PktReader(one(answer))
    for (let packet = await reader.read(); packet !== undefined; packet = await reader.read()) {
      if (packet.type === 'data') assert.ok(packet.payload.length + 4 <= frame)
    }
    assert.equal(await objectsIn(t, await packIn(one(answer), 'NAK')), (await fixture.oids()).length)
  })
}

test('version 0 acknowledges as the client understands it', async (t) => {
  const { server, tip, first } = await serve(t)
  const ask = (capabilities: string, ...haves: Buffer[]): Promise<string[]> =>
    packetsOf(server.serve(one(encodePkt(`want ${tip} ${capabilities}\n`), FLUSH_PKT, ...haves), V0))
  const haves = [encodePkt(`have ${first}\n`), FLUSH_PKT]
  assert.deepEqual(await ask('multi_ack_detailed', ...haves), [`ACK ${first} common`, 'NAK'])
  assert.deepEqual(await ask('multi_ack', ...haves), [`ACK ${first} continue`, 'NAK'])
  assert.deepEqual(await ask('', ...haves), [`ACK ${first}`])
  assert.deepEqual(await packetsOf(server.serve(one(FLUSH_PKT), V0)), [])
})

test('can be stopped', async (t) => {
  const { server, tip } = await serve(t)
  const signal = AbortSignal.abort()
  const request = one(v2Request('fetch', [`want ${tip}`, 'done']))
  await assert.rejects(collect(server.serve(request, { ...V2, signal })), AbortedError)
})
