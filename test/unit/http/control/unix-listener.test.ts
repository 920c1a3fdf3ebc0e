import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstat, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { createServer as createHttp, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { ControlClient } from '../../../../src/http/control/client.ts'
import { ControlServer } from '../../../../src/http/control/server.ts'
import { silentLogger } from '../../../../src/util/log.ts'
import { MemoryOperations, STATUS } from '../../../support/memory-operations.ts'

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-control-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

function serverAt(path: string): ControlServer {
  return new ControlServer({ operations: new MemoryOperations(), path, logger: silentLogger })
}

test('only this user may connect, and nothing stays behind', async (t) => {
  const folder = await folderOf(t)
  const path = join(folder, 'gachix', 'control.sock')
  const server = serverAt(path)
  await server.start()
  const stats = await lstat(path)
  assert.ok(stats.isSocket())
  assert.equal(stats.mode & 0o777, 0o600)
  assert.deepEqual(await readdir(join(folder, 'gachix')), ['control.sock'])
  await server.stop()
  assert.deepEqual(await readdir(join(folder, 'gachix')), [])
  await server.stop()
})

test('the socket of a node that died is replaced', async (t) => {
  const path = join(await folderOf(t), 'control.sock')
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  await once(spawn(process.execPath, ['-e', script]), 'exit')
  assert.ok((await lstat(path)).isSocket(), 'a stale socket is there')
  const server = serverAt(path)
  await server.start()
  assert.deepEqual(await new ControlClient(path).status(), STATUS)
  await server.stop()
})

test('the socket of a living node is not taken, and a file is not overwritten', async (t) => {
  const folder = await folderOf(t)
  const path = join(folder, 'control.sock')
  const server = serverAt(path)
  await server.start()
  await assert.rejects(serverAt(path).start(), {
    code: 'ERR_CONTROL_SOCKET',
    message: /another node listens/,
  })
  assert.deepEqual(await new ControlClient(path).status(), STATUS)
  await server.stop()
  await writeFile(path, 'mine')
  await assert.rejects(serverAt(path).start(), {
    code: 'ERR_CONTROL_SOCKET',
    message: /no socket lies there/,
  })
  assert.equal((await stat(path)).size, 4)
  const long = join(folder, 'x'.repeat(100))
  await assert.rejects(serverAt(long).start(), { code: 'ERR_CONTROL_SOCKET', message: /more than 103 bytes/ })
})

test('a server that stops leaves the socket of its successor', async (t) => {
  const path = join(await folderOf(t), 'control.sock')
  const first = serverAt(path)
  await first.start()
  await rm(path)
  const second = serverAt(path)
  await second.start()
  await first.stop()
  assert.deepEqual(await new ControlClient(path).status(), STATUS)
  await second.stop()
})

test('bad requests are refused with a reason', async (t) => {
  const path = join(await folderOf(t), 'control.sock')
  const server = serverAt(path)
  await server.start()
  t.after(() => server.stop())
  const send = (method: string, url: string, body?: string) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const sent = request({ socketPath: path, method, path: url, agent: false }, async (response) => {
        resolve({ status: response.statusCode!, text: await text(response) })
      })
      sent.once('error', reject)
      sent.end(body)
    })
  const valid = JSON.stringify({ paths: ['/nix/store/x'], single: true })
  assert.equal((await send('POST', '/v1/add', valid)).status, 200)
  for (const [method, url, body] of [
    ['POST', '/v1/add', ''],
    ['POST', '/v1/add', '{'],
    ['POST', '/v1/add', 'null'],
    ['POST', '/v1/add', '{"paths":[],"single":"yes"}'],
    ['POST', '/v1/add', '{"paths":[""],"single":true}'],
    ['POST', '/v1/add', `{"paths":["${'x'.repeat(5000)}"],"single":true}`],
    ['POST', '/v1/add', '{"paths":[],"single":true,"other":1}'],
    ['POST', '/v1/add', `"${'x'.repeat(17 * 1024 * 1024)}"`],
    ['GET', '/v1/add'],
    ['GET', '/v1/info'],
    ['GET', '/v1/info?target='],
    ['GET', '//'],
    ['GET', '/v2/status'],
    ['DELETE', '/v1/status'],
  ] as const) {
    const { status, text: reason } = await send(method, url, body)
    assert.equal(status, 400, `${method} ${url}`)
    assert.equal(JSON.parse(reason).error.code, 'ERR_CONTROL_PROTOCOL')
  }
})

test('the client does not trust the other end', async (t) => {
  const path = join(await folderOf(t), 'control.sock')
  let answer = (_response: import('node:http').ServerResponse) => {}
  const fake = createHttp((_, response) => answer(response))
  fake.listen(path)
  await once(fake, 'listening')
  t.after(() => fake.close())
  const client = new ControlClient(path)
  const vanished = { code: 'ERR_NODE_VANISHED', message: /run the command again/ }
  const cases: [(response: import('node:http').ServerResponse) => void, object][] = [
    [(response) => response.socket!.destroy(), vanished],
    [(response) => response.end(), vanished],
    [(response) => response.end('{"result":'), vanished],
    [(response) => response.end('{"event":1}\n'), vanished],
    [(response) => response.write('{"ev', () => response.destroy()), vanished],
    [(response) => response.end('hello\n'), { code: 'ERR_CONTROL_PROTOCOL' }],
    [(response) => response.end('7\n'), { code: 'ERR_CONTROL_PROTOCOL' }],
    [(response) => response.end('{"result":{"pid":"7"}}\n'), { code: 'ERR_CONTROL_PROTOCOL' }],
    [
      (response) => response.end('{"error":{"code":"ERR_X","message":"m"}}\n'),
      { code: 'ERR_X', message: 'm' },
    ],
    [(response) => response.end('x'.repeat(17 * 1024 * 1024)), { code: 'ERR_CONTROL_PROTOCOL' }],
  ]
  for (const [given, expected] of cases) {
    answer = given
    await assert.rejects(client.status(), expected)
  }
  answer = (response) => response.end('{"event":{"type":"bytes"}}\n')
  await assert.rejects(client.add({ paths: [], single: false }), { code: 'ERR_CONTROL_PROTOCOL' })
})
