/** Hostile requests to the Git side of a node: what they could make it hold, or say. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { encodePkt } from '../../src/git/protocol/pkt-line.ts'
import { MAX_GIT_REQUEST, MAX_GIT_TRANSFERS } from '../../src/http/limits.ts'
import { until } from '../support/cache-server.ts'
import { postGit, v2Request } from '../support/git-request.ts'
import { GitServer } from '../support/git-server.ts'
import { openFilesIn } from '../support/open-files.ts'
import { directory, file, makePackage, sampleClosure } from '../support/packages.ts'

const HASH = '1234567890123456789012345678901234567890'

/** Memory of the process that is in use, bytes. */
const memory = (): number => process.memoryUsage().rss

describe('requests', () => {
  test('of garbage get an ERR packet, or 4xx', async (t) => {
    const server = await GitServer.start(t, { packages: sampleClosure() })
    const bodies = [
      'garbage',
      'ffff',
      '0003',
      '0010command=fetch',
      '0005a',
      encodePkt('command=push\n'),
      Buffer.concat([encodePkt('command=fetch\n'), encodePkt('object-format=sha256\n'), Buffer.from('0000')]),
      v2Request('fetch', ['want ../../etc/passwd']),
      v2Request('fetch', [`want ${HASH}`, 'done']),
      v2Request('fetch', ['deepen 1', 'done']),
      v2Request('fetch', ['filter combine:blob:none+tree:3', 'done']),
      v2Request('ls-refs', ['evil']),
    ]
    for (const body of bodies) {
      for (const version of ['version=2', 'version=0']) {
        const { status, body: answer } = await postGit(server.url, [Buffer.from(body)], {
          'Git-Protocol': version,
        })
        assert.equal(status, 200)
        assert.match(answer.toString(), /^[0-9a-f]{4}ERR [ -~]+\n$/, `${body}`)
      }
    }
    const wrong: [Record<string, string>, number][] = [
      [{ 'Content-Type': 'text/plain' }, 415],
      [{ 'Content-Encoding': 'br' }, 415],
      [{ 'Content-Encoding': 'gzip' }, 400],
    ]
    for (const [headers, expected] of wrong) {
      assert.equal((await postGit(server.url, [v2Request('ls-refs', [])], headers)).status, expected)
    }
    const paths = [
      '/HEAD',
      '/objects/info/packs',
      '/info/refs',
      '/info/refs?service=x',
      '/../health',
      '/%2e%2e/config',
    ]
    for (const path of paths)
      assert.equal((await fetch(`${server.server.url}/git${path}`)).status, path.includes('..') ? 200 : 404)
    assert.equal((await fetch(`${server.url}/info/refs?service=git-receive-pack`)).status, 403)
    assert.equal((await fetch(`${server.url}/git-upload-pack`)).status, 405)
    assert.equal((await fetch(server.url, { method: 'POST', body: 'x' })).status, 405)
  })

  test('for thousands of objects that do not exist are answered at once', async (t) => {
    const server = await GitServer.start(t, { packages: sampleClosure() })
    const ids = Array.from({ length: 100_000 }, (_, i) => i.toString(16).padStart(40, '0'))
    const wants = await postGit(server.url, [v2Request('fetch', [...ids.map((id) => `want ${id}`), 'done'])])
    assert.match(wants.body.toString(), /^[0-9a-f]{4}ERR not our ref 0{40}\n$/)
    const haves = await postGit(server.url, [
      v2Request(
        'fetch',
        ids.map((id) => `have ${id}`),
      ),
    ])
    assert.equal(haves.body.toString(), '0014acknowledgments\n0008NAK\n0000')
    const prefixes = await postGit(server.url, [
      v2Request(
        'ls-refs',
        ids.map((id) => `ref-prefix refs/${id}`),
      ),
    ])
    // More than 65,536: as with Git all refs are listed.
    assert.equal(prefixes.body.toString().match(/refs\//g)?.length, 2 * sampleClosure().length)
  })

  test('that inflate without end are cut off', async (t) => {
    const server = await GitServer.start(t)
    const line = encodePkt(`have ${HASH}\n`)
    const repeated = Buffer.concat([
      v2Request('fetch', []).subarray(0, -4),
      ...Array<Buffer>(2_000_000).fill(line),
    ])
    assert.ok(repeated.length > 2 * MAX_GIT_REQUEST)
    const bomb = gzipSync(repeated)
    assert.ok(bomb.length < 1_000_000)
    const before = memory()
    const { status } = await postGit(server.url, [bomb], { 'Content-Encoding': 'gzip' })
    assert.equal(status, 413)
    assert.ok(memory() - before < 200_000_000)
  })

  test('that never end are cut off by size, and by time', async (t) => {
    const server = await GitServer.start(t, { timeouts: { request: 3000, headers: 1000 } })
    const line = encodePkt(`ref-prefix ${'x'.repeat(60_000)}`)
    async function* endless(): AsyncGenerator<Buffer> {
      yield v2Request('ls-refs', []).subarray(0, -4)
      for (;;) yield line
    }
    assert.equal((await postGit(server.url, endless())).status, 413)
    const socket = connect(server.server.address!.port, '127.0.0.1')
    socket.write(
      'POST /git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-git-upload-pack-request\r\n' +
        'Transfer-Encoding: chunked\r\n\r\n4\r\n0032\r\n',
    )
    socket.resume()
    await once(socket, 'close')
  })

  test('above the limit are told to come back', async (t) => {
    const server = await GitServer.start(t, { packages: sampleClosure() })
    const sockets = Array.from({ length: MAX_GIT_TRANSFERS }, () => {
      const socket = connect(server.server.address!.port, '127.0.0.1')
      socket.write(
        'POST /git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-git-upload-pack-request\r\n' +
          'Content-Length: 1000\r\n\r\n0032',
      )
      return socket
    })
    let status = 0
    for (; status !== 503; ) status = (await postGit(server.url, [v2Request('ls-refs', [])])).status
    for (const socket of sockets) socket.destroy()
    for (; status !== 200; ) status = (await postGit(server.url, [v2Request('ls-refs', [])])).status
  })
})

describe('clients', () => {
  test('that leave in the middle of a pack leave no file open', async (t) => {
    const noise = Buffer.alloc(24_000_000)
    for (let i = 0; i < noise.length; i += 4) noise.writeInt32LE(Math.imul(i, 2654435761) ^ (i << 7), i)
    const server = await GitServer.start(t, {
      packages: [makePackage('large', directory({ data: file(noise) }))],
    })
    const [commit = ''] = [...server.store.entries()].map((entry) => entry.commit)
    const body = v2Request('fetch', [`want ${commit}`, 'done'])
    const packs = (): number =>
      openFilesIn(server.store.gitDir).filter((path) => path.endsWith('.pack')).length
    const before = packs()
    for (let round = 0; round < 5; round++) {
      const socket = connect(server.server.address!.port, '127.0.0.1')
      socket.write(
        `POST /git/git-upload-pack HTTP/1.1\r\nHost: x\r\nGit-Protocol: version=2\r\nContent-Length: ${body.length}\r\n` +
          'Content-Type: application/x-git-upload-pack-request\r\n\r\n',
      )
      socket.write(body)
      await once(socket, 'data')
      socket.destroy()
    }
    // A pack that was read stays open in the pool; that the rest was let go shows when the store closes.
    await until(() => packs() <= before + 1)
    await server.server.stop()
    await server.store.close()
    assert.equal(packs(), 0)
  })
})
