/** Pushing to repositories that Git serves: by path, over SSH and over HTTP. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createGitRemote, type GitRemote } from '../../../src/ingest/remote/git-remote.ts'
import type { PushUpdate } from '../../../src/ingest/remote/push.ts'
import type { RemotePackage } from '../../../src/store/api.ts'
import { childProcesses } from '../../support/child-processes.ts'
import { startGitHttp } from '../../support/git-http.ts'
import { chunksOf } from '../../support/packages.ts'
import { run, runLines } from '../../support/process.ts'
import { packagesIn, publishClosure } from '../../support/published-closure.ts'
import { startSshd } from '../../support/sshd.ts'

let root: string
let origin: string
let packages: RemotePackage[]
/** Everything of all packages. */
let pack: Buffer

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'gachix-push-'))
  origin = join(root, 'origin')
  await publishClosure(origin)
  packages = await packagesIn(origin)
  const args = ['-C', origin, 'pack-objects', '--revs', '--all', '--stdout', '-q']
  pack = await run('git', args, { input: '' })
})
after(() => rm(root, { recursive: true, force: true }))

/** Commits before narinfos. */
function updatesOf(some: readonly RemotePackage[]): PushUpdate[] {
  return [
    ...some.map(({ hash, commit }) => ({ ref: `refs/${hash}/result`, oid: commit! })),
    ...some.map(({ hash, narinfo }) => ({ ref: `refs/${hash}/narinfo`, oid: narinfo })),
  ]
}

async function empty(name: string): Promise<string> {
  const path = join(root, name)
  await run('git', ['init', '-q', '--bare', path])
  return path
}

const refsOf = (path: string) =>
  runLines('git', ['-C', path, 'for-each-ref', '--format=%(refname) %(objectname)'])

async function everythingArrives(remote: GitRemote, path: string): Promise<void> {
  const updates = updatesOf(packages)
  const first = await remote.push({ updates, pack: () => chunksOf(pack) })
  assert.ok(first.refs.every(({ outcome }) => outcome === 'created'))
  assert.deepEqual(
    first.refs.map(({ ref, oid }) => ({ ref, oid })),
    updates,
  )
  assert.equal(first.atomic, true)
  assert.ok(first.bytesSent > pack.length)
  assert.deepEqual(await refsOf(path), await refsOf(origin))
  await run('git', ['-C', path, 'fsck', '--strict'])
  const again = await remote.push({ updates, pack: () => assert.fail('there is nothing to send') })
  assert.ok(again.refs.every(({ outcome }) => outcome === 'unchanged'))
  assert.equal((await remote.check()).packages, packages.length)
}

test('a closure arrives by path', async () => {
  const path = await empty('by-path')
  await everythingArrives(createGitRemote({ url: path }), path)
})

test('a closure arrives over SSH', async () => {
  const path = await empty('by-ssh')
  await using sshd = await startSshd({ config: ['ForceCommand git-shell -c "$SSH_ORIGINAL_COMMAND"'] })
  const { user, host, port, clientKey, program } = sshd
  const url = `ssh://${user}@${host}:${port}${path}`
  await everythingArrives(createGitRemote({ url, identityFile: clientKey, sshProgram: program }), path)
})

test('a closure arrives over HTTP', async () => {
  const path = await empty('by-http')
  await using server = await startGitHttp({ root, credentials: 'me:se:cret' })
  const url = server.url.replace('//', '//me:se%3Acret@')
  await everythingArrives(createGitRemote({ url: `${url}/by-http` }), path)
})

test('a ref that differs is reported, and changed only by force', async () => {
  const path = await empty('differs')
  const remote = createGitRemote({ url: path })
  const [first, second] = packages
  const ref = `refs/${first!.hash}/narinfo`
  const send = () => chunksOf(pack)
  await remote.push({ updates: [{ ref, oid: second!.narinfo }], pack: send })
  const updates = updatesOf([first!])
  const gentle = await remote.push({ updates, pack: send })
  assert.deepEqual(gentle.refs, [
    { ...updates[0], outcome: 'created' },
    { ...updates[1], outcome: 'differs', reason: second!.narinfo },
  ])
  const forced = await remote.push({ updates, pack: send, force: true })
  assert.deepEqual(
    forced.refs.map(({ outcome }) => outcome),
    ['unchanged', 'changed'],
  )
  assert.ok((await refsOf(path)).includes(`${ref} ${first!.narinfo}`))
})

test('what the server refuses comes with its words, and all or nothing is changed', async () => {
  const path = await empty('hooked')
  await writeFile(join(path, 'hooks/update'), '#!/bin/sh\ncase $1 in *narinfo) exit 1;; esac\n', {
    mode: 0o755,
  })
  const remote = createGitRemote({ url: path })
  const { refs } = await remote.push({ updates: updatesOf(packages), pack: () => chunksOf(pack) })
  assert.ok(refs.every(({ outcome }) => outcome === 'refused'))
  assert.match(refs.at(-1)!.reason!, /hook declined|atomic/)
  assert.deepEqual(await refsOf(path), [])
  // One that cannot do that changes what it may.
  await run('git', ['-C', path, 'config', 'receive.advertiseAtomic', 'false'])
  const single = await remote.push({ updates: updatesOf(packages), pack: () => chunksOf(pack) })
  assert.equal(single.atomic, false)
  assert.deepEqual(new Set(single.refs.map(({ outcome }) => outcome)), new Set(['created', 'refused']))
  assert.equal((await refsOf(path)).length, packages.length)
})

test('a pack that is broken, or lacks something, changes nothing', async () => {
  const path = await empty('broken')
  const remote = createGitRemote({ url: path })
  const updates = updatesOf(packages)
  const damaged = Buffer.from(pack)
  damaged[damaged.length >> 1]! ^= 1
  await assert.rejects(
    remote.push({ updates, pack: () => chunksOf(damaged) }),
    /not accepted|ended with status/,
  )
  const [commit] = updates.slice(packages.length - 1)
  const lacking = await run('git', ['-C', origin, 'pack-objects', '--stdout', '-q'], {
    input: `${commit!.oid}\n`,
  })
  const { refs } = await remote.push({ updates: [commit!], pack: () => chunksOf(lacking) })
  assert.equal(refs[0]!.outcome, 'refused')
  assert.deepEqual(await refsOf(path), [])
})

test('a source that fails, or a signal, ends the push and leaves nothing behind', async () => {
  const path = await empty('failing')
  const remote = createGitRemote({ url: path })
  const updates = updatesOf(packages)
  async function* failing() {
    yield pack.subarray(0, 100_000)
    throw new Error('the source failed')
  }
  await assert.rejects(remote.push({ updates, pack: failing }), /the source failed/)
  await using server = await startGitHttp({ root })
  const overHttp = createGitRemote({ url: `${server.url}/failing` })
  await assert.rejects(overHttp.push({ updates, pack: failing }), /^Error: the source failed/)
  async function* failingLate() {
    for (let count = 0; count < 20; count++) yield pack.subarray(0, 100_000)
    throw new Error('the source failed late')
  }
  await assert.rejects(overHttp.push({ updates, pack: failingLate }), /^Error: the source failed late/)
  const stopping = new AbortController()
  async function* stopped() {
    yield pack.subarray(0, 100_000)
    stopping.abort()
    yield pack.subarray(100_000)
  }
  const { signal } = stopping
  await assert.rejects(remote.push({ updates, pack: stopped }, { signal }), { code: 'ERR_ABORTED' })
  assert.deepEqual(await refsOf(path), [])
  assert.deepEqual(
    (await childProcesses()).filter((line) => line.includes('receive-pack')),
    [],
  )
})

test('where nothing can be pushed to', async () => {
  const push = (url: string) =>
    createGitRemote({ url }).push({ updates: updatesOf(packages), pack: () => chunksOf(pack) })
  await assert.rejects(push(join(root, 'nowhere')), { code: 'ERR_REMOTE_REFUSED' })
  await assert.rejects(push(tmpdir()), { code: 'ERR_REMOTE_REFUSED' })
  await using server = await startGitHttp({ root, credentials: 'a:b' })
  await assert.rejects(push(`${server.url}/by-http`), (error: Error) =>
    /user and password/.test(error.message),
  )
})
