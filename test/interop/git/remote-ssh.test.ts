/** Git remotes behind a real sshd: what works, and that what fails says why and runs nothing. */
import assert from 'node:assert/strict'
import { access, cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createGitRemote, type GitRemoteOptions } from '../../../src/ingest/remote/git-remote.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { childProcesses } from '../../support/child-processes.ts'
import { bulkyClosure, publishClosure } from '../../support/published-closure.ts'
import { generateSshKey, type Sshd, startSshd } from '../../support/sshd.ts'

let root: string
let repository: string
let sshd: Sshd

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'gachix-remote-ssh-'))
  repository = join(root, 'repository')
  await publishClosure(repository)
  sshd = await startSshd({ acceptEnv: ['GIT_PROTOCOL'] })
})
after(async () => {
  await sshd?.close()
  await rm(root, { recursive: true, force: true })
})

function urlOf(path: string, { user, host, port } = sshd): string {
  return `ssh://${user}@${host}:${port}${encodeURI(path)}`
}

async function check(url: string, options: Partial<GitRemoteOptions> = {}, server = sshd) {
  const { clientKey, program } = server
  return createGitRemote({ url, identityFile: clientKey, sshProgram: program, ...options }).check()
}

async function failure(url: string, options: Partial<GitRemoteOptions> = {}): Promise<GachixError> {
  try {
    await check(url, options)
  } catch (error) {
    assert.ok(error instanceof GachixError, String(error))
    return error
  }
  assert.fail('nothing failed')
}

test('version 2 is asked for by variable, else within the command, and version 0 is what is left', async () => {
  const count = bulkyClosure().length
  const gitShell = 'ForceCommand git-shell -c "$SSH_ORIGINAL_COMMAND"'
  for (const [options, version, connections] of [
    [{ acceptEnv: ['GIT_PROTOCOL'] }, 2, 1],
    [{ acceptEnv: ['GIT_PROTOCOL'], config: [gitShell] }, 2, 1],
    [{}, 2, 2],
    [{ config: [gitShell] }, 0, 3],
  ] as const) {
    await using server = await startSshd(options)
    const { clientKey, program } = server
    const remote = createGitRemote({
      url: urlOf(repository, server),
      identityFile: clientKey,
      sshProgram: program,
    })
    const logins = () => server.log().match(/Accepted publickey/g)?.length ?? 0
    const report = await remote.check()
    assert.equal(report.version, version)
    assert.equal(report.packages, count)
    assert.equal(report.selective, true)
    assert.equal(report.advice.length, version === 2 ? 0 : 1)
    assert.equal(logins(), connections)
    await remote.check()
    assert.equal(logins(), connections + 1, 'the way that worked is tried first')
  }
})

test('a path is only ever a path', async () => {
  const marker = join(root, 'executed')
  const name = `it's "two words" $(touch executed) \`touch executed\`; touch executed; ' & | ex!cla!m \\ # ?`
  const odd = join(root, name)
  await cp(repository, odd, { recursive: true })
  const encoded = encodeURIComponent(odd).replaceAll('%2F', '/')
  const { packages } = await check(`ssh://${sshd.user}@${sshd.host}:${sshd.port}${encoded}`)
  assert.equal(packages, bulkyClosure().length)
  const missing = await failure(urlOf(`${root}/$(touch ${marker})';touch ${marker};'`))
  assert.equal(missing.code, 'ERR_SSH_COMMAND')
  await assert.rejects(access(marker))
  await assert.rejects(access('executed'))
})

test('names that ssh or a shell would take for something else are refused, and nothing is run', async () => {
  const marker = join(root, 'ran')
  const program = join(root, 'not-ssh')
  await writeFile(program, `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 })
  for (const url of [
    '-oProxyCommand=touch ran:path',
    `ssh://-oProxyCommand=x/${root}`,
    `ssh://-x@host${root}`,
    `-x@host:${root}`,
    'host:-path',
    'a$(touch ran):path',
    'ssh://host/a%0Ab',
    'host:a\nb',
    'ssh://user:password@host/path',
    'ssh://host',
    'host:',
    'ext::sh -c touch% x',
    'ext://x/y',
  ]) {
    const error = await failure(url, { sshProgram: program })
    assert.match(error.code, /^ERR_(REMOTE_URL|SSH_HOST)$/, url)
    assert.doesNotMatch(error.message, /password@|[\n]/)
  }
  await assert.rejects(access(marker))
})

test('a repository that is not there', async () => {
  const error = await failure(urlOf('/no/such/repository'))
  assert.equal(error.code, 'ERR_SSH_COMMAND')
  assert.match(error.message, /'\/no\/such\/repository' does not appear to be a git repository/)
})

test('a key that the server does not know', async () => {
  const key = join(root, 'other_key')
  await generateSshKey(key)
  assert.equal((await failure(urlOf(repository), { identityFile: key })).code, 'ERR_SSH_AUTH')
})

test('a server with another host key than the known one', async () => {
  await using other = await startSshd({})
  const known = `[${other.host}]:${other.port} ${sshd.hostKey}\n`
  await writeFile(other.knownHosts, known)
  const { program, clientKey } = other
  const error = await failure(urlOf(repository, other), { sshProgram: program, identityFile: clientKey })
  assert.equal(error.code, 'ERR_SSH_HOST_KEY')
  assert.doesNotMatch(other.log(), /Accepted/)
})

test('nobody listens, or there is no ssh', async () => {
  const url = `ssh://${sshd.user}@${sshd.host}:1${repository}`
  assert.equal((await failure(url)).code, 'ERR_SSH_UNREACHABLE')
  assert.equal((await failure(url, { sshProgram: join(root, 'no-ssh') })).code, 'ERR_SSH_MISSING')
})

test('a connection that the server ended between two requests is made again, once', async () => {
  await using server = await startSshd({ acceptEnv: ['GIT_PROTOCOL'] })
  const { clientKey, program } = server
  const remote = createGitRemote({
    url: urlOf(repository, server),
    identityFile: clientKey,
    sshProgram: program,
  })
  const session = await remote.open()
  const [first] = await Array.fromAsync(session.list())
  await endSessions()
  assert.equal((await session.packages([first!.hash])).size, 1)
  await endSessions()
  await server.close()
  // The server is gone, and the client's configuration with it.
  await assert.rejects(session.packages([first!.hash]), { code: 'ERR_SSH_MISSING' })
  await session.close()
})

/** Ends the processes in which sshd serves the connections of this test. */
async function endSessions(): Promise<void> {
  for (const line of await childProcesses()) {
    const [, pid] = /^(\d+) sshd: \S+@/.exec(line) ?? []
    if (pid !== undefined) process.kill(Number(pid))
  }
}
