/** Git remotes behind Git's own HTTP server: credentials, redirections, large requests. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createGitRemote } from '../../../src/ingest/remote/git-remote.ts'
import { collect } from '../../support/collect.ts'
import { startGitHttp, startHttp } from '../../support/git-http.ts'
import { bulkyClosure, packagesIn, publishClosure } from '../../support/published-closure.ts'

let root: string

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'gachix-remote-http-'))
  await publishClosure(join(root, 'repository'))
})
after(() => rm(root, { recursive: true, force: true }))

const withUser = (url: string, user: string) => `${url.replace('//', `//${user}@`)}/repository`

test('user and password of the URL are given to that server, and shown nowhere', async () => {
  await using server = await startGitHttp({ root, credentials: 'me:pass word' })
  const remote = createGitRemote({ url: withUser(server.url, 'me:pass%20word') })
  assert.equal((await remote.check()).packages, bulkyClosure().length)
  assert.equal(remote.url, `${server.url}/repository`)
  const wrong = createGitRemote({ url: withUser(server.url, 'me:wrong') })
  await assert.rejects(wrong.check(), (error: Error & { code: string }) => {
    assert.equal(error.code, 'ERR_REMOTE_REFUSED')
    assert.match(error.message, /wants to know who asks/)
    return !error.message.includes('wrong')
  })
})

test('a redirection is followed for everything after it, without the password where it leads elsewhere', async () => {
  await using server = await startGitHttp({ root })
  await using front = await startHttp((request, response) => {
    response.writeHead(301, { location: `${server.url}${request.url!.replace('/old', '/repository')}` }).end()
  })
  const remote = createGitRemote({ url: `${front.url.replace('//', '//me:secret@')}/old` })
  assert.equal((await remote.check()).packages, bulkyClosure().length)
  assert.equal(front.requests.length, 1)
  assert.match(front.requests[0]!, /Basic/)
  assert.ok(server.requests.length > 1)
  assert.ok(server.requests.every((request) => !request.includes('Basic')))
})

test('requests too large to be gathered are streamed', async () => {
  await using server = await startGitHttp({ root })
  const progress: string[] = []
  const url = `${server.url}/repository`
  const remote = createGitRemote({ url, onProgress: (words) => progress.push(words) })
  const session = await remote.open()
  const [first] = await packagesIn(join(root, 'repository'))
  const haves = Array.from({ length: 40_000 }, (_, i) => (i + 1).toString(16).padStart(40, '0'))
  const pack = await collect(session.fetch({ wants: [first!.commit!], haves }))
  assert.equal(pack.toString('latin1', 0, 4), 'PACK')
  assert.ok(session.bytesSent < 1024 * 1024, 'it went compressed')
  assert.ok(progress.some((words) => /Enumerating objects/.test(words)))
  await session.close()
})
