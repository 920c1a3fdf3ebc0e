import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DaemonProtocolError } from '../../../../src/ingest/daemon/errors.ts'
import { DaemonSource } from '../../../../src/ingest/daemon/source.ts'
import { StorePath } from '../../../../src/nix/store-path.ts'
import { daemonPeer, fileNar, LAST, pathInfoAnswer, str, u64 } from '../../../support/daemon-peer.ts'

const hash = (digit: string) => digit.repeat(32)
const path = (digit: string, name = 'x') => `/nix/store/${hash(digit)}-${name}`

/** A source whose daemon gives the answers in their order, and what it was asked. */
function answering(...answers: Uint8Array[]): { source: DaemonSource; asked: [number, string][] } {
  const asked: [number, string][] = []
  const connect = daemonPeer(async (peer) => {
    await peer.greet(34)
    for (;;) {
      asked.push(await peer.operation())
      const answer = answers.shift()
      if (answer !== undefined) peer.send(answer)
    }
  })
  return { source: new DaemonSource({ connect, name: 'test daemon', connections: 1 }), asked }
}

test('an answer becomes a path info: sorted references, empty strings absent', async () => {
  const { source, asked } = answering(
    pathInfoAnswer({
      deriver: path('d', 'x.drv'),
      narHash: '00ff'.repeat(16),
      narSize: 999,
      references: [path('z'), path('0', 'b'), path('0', 'B'), path('1')],
      signatures: ['key:AA=='],
      ca: 'text:sha256:abc',
    }),
    pathInfoAnswer({}),
  )
  const info = await source.pathInfo(StorePath.parse(path('1')))
  assert.deepEqual(asked, [[26, path('1')]])
  assert.deepEqual(info?.references.map(String), [path('0', 'B'), path('0', 'b'), path('1'), path('z')])
  assert.equal(String(info?.storePath), path('1'))
  assert.equal(String(info?.deriver), path('d', 'x.drv'))
  assert.equal(info?.narSize, 999)
  assert.deepEqual(info?.narHash, { algorithm: 'sha256', digest: Buffer.from('00ff'.repeat(16), 'hex') })
  assert.deepEqual(info?.signatures, ['key:AA=='])
  assert.equal(info?.ca, 'text:sha256:abc')

  const bare = await source.pathInfo(StorePath.parse(path('2')))
  assert.deepEqual(Object.keys(bare ?? {}).sort(), [
    'narHash',
    'narSize',
    'references',
    'signatures',
    'storePath',
  ])
  source.close()
})

test('a hash part is looked up, whatever the name', async () => {
  const { source, asked } = answering(
    ...[Buffer.concat([LAST, str(path('1', 'name'))]), pathInfoAnswer({})],
    ...[Buffer.concat([LAST, str('')]), Buffer.concat([LAST, str(path('3'))])],
  )
  assert.equal(String((await source.pathInfo(hash('1')))?.storePath), path('1', 'name'))
  assert.equal(await source.pathInfo(hash('2')), undefined)
  await assert.rejects(source.pathInfo(hash('1')), /test daemon names .* for the hash part 1/)
  assert.deepEqual(
    asked.map(([operation]) => operation),
    [29, 26, 29, 29],
  )
  source.close()
})

test('what a daemon cannot know is not asked', async () => {
  const { source, asked } = answering()
  assert.equal(await source.pathInfo(new StorePath(hash('1'), 'x', '/other/store')), undefined)
  assert.equal(await source.pathInfo('not a hash part'), undefined)
  assert.equal(asked.length, 0)
  source.close()
})

test('a registration that breaks the rules is refused, with the path in the message', async () => {
  for (const [wrong, message] of [
    [{ narSize: 0 }, /no bytes/],
    [{ narHash: 'ab' }, /sha256/],
    [{ narHash: '' }, /sha256/],
    [{ references: ['/nix/store/short'] }, /not a store path/],
    [{ references: [`/other/store/${hash('1')}-x`] }, /not in the store directory/],
    [{ references: [path('2'), path('2')] }, /refers to .* twice/],
    [{ deriver: 'unknown' }, /not in the store directory/],
  ] as const) {
    const { source } = answering(pathInfoAnswer(wrong as Parameters<typeof pathInfoAnswer>[0]))
    await assert.rejects(source.pathInfo(StorePath.parse(path('1'))), (error: Error) => {
      assert.ok(error instanceof DaemonProtocolError)
      assert.ok(error.message.includes(path('1')))
      assert.match(error.message, message)
      return true
    })
    source.close()
  }
})

test('a NAR is read under a temporary root, and the connection used again', async () => {
  const nar = fileNar('contents')
  const yes = Buffer.concat([LAST, u64(1)])
  const { source, asked } = answering(pathInfoAnswer({}), yes, Buffer.concat([LAST, nar]), pathInfoAnswer({}))
  const info = await source.pathInfo(StorePath.parse(path('1')))
  const chunks: Uint8Array[] = []
  for await (const chunk of source.nar(info!)) chunks.push(chunk)
  assert.deepEqual(Buffer.concat(chunks), nar)
  await source.pathInfo(StorePath.parse(path('1')))
  assert.deepEqual(
    asked,
    [26, 11, 38, 26].map((operation) => [operation, path('1')]),
  )
  source.close()
})
