/** Git servers that answer with garbage, without end or not at all: a named error in bounded time and memory. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { encodePkt, FLUSH_PKT } from '../../src/git/protocol/pkt-line.ts'
import type { Patience } from '../../src/git/transport/connection.ts'
import { createGitRemote } from '../../src/ingest/remote/git-remote.ts'
import type { RepositorySession } from '../../src/store/api.ts'
import { childProcesses } from '../support/child-processes.ts'
import { collect } from '../support/collect.ts'
import { startHttp } from '../support/git-http.ts'
import { until } from '../support/process.ts'

/** Far more than a busy machine takes, where silence is not what is tested. */
const PATIENT = { firstByte: 30_000, stall: 30_000 }
const BRIEF = { firstByte: 2000, stall: 500 }
const OID = '1'.repeat(40)
const GREETING = Buffer.concat([
  ...['version 2\n', 'agent=evil\n', 'ls-refs\n', 'fetch=filter\n'].map((line) => encodePkt(line)),
  FLUSH_PKT,
])

let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-hostile-'))
})
after(() => rm(folder, { recursive: true, force: true }))

/** A remote whose `ssh` is a script: what it prints is what the server says. */
async function scripted(script: string, patience: Patience = PATIENT) {
  const program = join(folder, `ssh-${Math.random().toString(36).slice(2)}`)
  await writeFile(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return createGitRemote({ url: 'ssh://host/path', sshProgram: program, patience })
}

/** A server that says this, and then waits or ends. */
async function saying(bytes: Buffer, then = 'exec sleep 1000', patience: Patience = PATIENT) {
  const file = join(folder, `said-${Math.random().toString(36).slice(2)}`)
  await writeFile(file, bytes)
  return scripted(`cat ${file}\n${then}`, patience)
}

const silentAfter = (bytes: Buffer) => saying(bytes, 'exec sleep 1000', BRIEF)

const wanted = (session: RepositorySession) => collect(session.fetch({ wants: [OID], haves: [] }))

async function nothingLeft(): Promise<void> {
  await until(
    () => 'the end of the scripts',
    async () => ((await childProcesses()).some((line) => line.includes(folder)) ? undefined : true),
  )
}

test('a greeting that is none', async () => {
  const cases: [Buffer, RegExp][] = [
    [Buffer.from('Welcome to this host!\n'), /expected a packet, got "Welc"/],
    [Buffer.from('0003'), /expected a packet/],
    [Buffer.from('ffff'), /expected a packet/],
    [encodePkt('hello\n'), /without capabilities/],
    [encodePkt(`${OID} refs/x`), /without capabilities/],
    [encodePkt('not-an-id refs/x\0ofs-delta'), /expected a ref/],
    [encodePkt(`${OID} \0ofs-delta`), /expected a ref/],
    [GREETING.subarray(0, 30), /ends in the middle|too early/],
    [Buffer.concat([encodePkt(`${OID} refs/x\0a`), Buffer.from('0001')]), /delimiter packet/],
    [
      Buffer.concat([encodePkt('# service=git-upload-pack'), encodePkt('version 2')]),
      /not followed by a flush/,
    ],
  ]
  for (const [bytes, expected] of cases) {
    const remote = await saying(bytes, 'exit 0')
    await assert.rejects(remote.open(), (error: Error & { code: string }) => {
      assert.equal(error.code, 'ERR_REMOTE_PROTOCOL', error.message)
      assert.match(error.message, expected)
      return error.message.includes('ssh://host/path')
    })
  }
  const sha256 = await saying(encodePkt(`${OID} refs/x\0object-format=sha256`))
  await assert.rejects(sha256.open(), { code: 'ERR_GIT_UNSUPPORTED_SERVER' })
  await nothingLeft()
})

test('the words of a server are shown without what would mislead a terminal', async () => {
  const remote = await saying(encodePkt(`ERR no \u001b[2Jsuch\r\n\u202erepository\u0007 ${'x'.repeat(5000)}`))
  await assert.rejects(remote.open(), (error: Error & { code: string }) => {
    assert.equal(error.code, 'ERR_REMOTE_REFUSED')
    assert.match(error.message, /: no \[2Jsuch repository x+…$/)
    return error.message.length < 1100
  })
})

test('a greeting without end', async () => {
  const endless = (line: string) => `while :; do printf '%s' '${encodePkt(line).toString()}'; done`
  const greetings = [
    `printf '000eversion 2\\n'; ${endless('capability')}`,
    // Refs without end are let go on for some time, so these are not in order.
    `printf '%s' '${encodePkt(`${OID} refs/${'b'.repeat(32)}/narinfo`)}'; ${endless(`${OID} refs/${'a'.repeat(32)}/narinfo`)}`,
  ]
  for (const script of greetings) {
    await assert.rejects((await scripted(script)).open(), { code: 'ERR_REMOTE_PROTOCOL' })
  }
  await nothingLeft()
})

test('a server that says nothing, before or after its greeting, or in the middle of a pack', async () => {
  const pack = [encodePkt('packfile\n'), encodePkt('\u0001PACK'), encodePkt('\u0002working\n')]
  const silent = { code: 'ERR_REMOTE_TIMEOUT' }
  await Promise.all([
    assert.rejects((await scripted('exec sleep 1000', BRIEF)).open(), silent),
    assert.rejects(wanted(await (await silentAfter(GREETING)).open()), silent),
    assert.rejects(Array.fromAsync((await (await silentAfter(GREETING)).open()).list()), silent),
    assert.rejects(wanted(await (await silentAfter(Buffer.concat([GREETING, ...pack]))).open()), silent),
  ])
  await nothingLeft()
})

test('a server that takes no more of a request', async () => {
  const session = await (await silentAfter(GREETING)).open()
  const haves = Array.from({ length: 50_000 }, (_, i) => i.toString(16).padStart(40, '0'))
  await assert.rejects(collect(session.fetch({ wants: [OID], haves })), { code: 'ERR_REMOTE_TIMEOUT' })
  await nothingLeft()
})

test('answers to a fetch that are none', async () => {
  // That the command has ended may be known before what it wrote has been read, or after.
  const cut = 'ERR_REMOTE_PROTOCOL or ERR_SSH_COMMAND'
  const cases: [Buffer[], string, RegExp][] = [
    [[FLUSH_PKT], 'ERR_REMOTE_PROTOCOL', /sends no pack/],
    [[encodePkt('ERR upload-pack: not our ref')], 'ERR_REMOTE_REFUSED', /not our ref/],
    [[encodePkt('packfile\n'), encodePkt('\u0003out of\nmemory')], 'ERR_REMOTE_REFUSED', /out of memory/],
    [[encodePkt('packfile\n'), encodePkt('\u0004what')], 'ERR_REMOTE_PROTOCOL', /channel 4/],
    [[encodePkt('packfile\n'), encodePkt('')], 'ERR_REMOTE_PROTOCOL', /channel without number/],
    [[encodePkt('packfile\n'), encodePkt('\u0001PACK')], cut, /too early/],
    [[encodePkt('packfile\n'), Buffer.from('0001')], 'ERR_REMOTE_PROTOCOL', /delimiter packet/],
  ]
  for (const [packets, code, expected] of cases) {
    const session = await (await saying(Buffer.concat([GREETING, ...packets]), 'exit 0')).open()
    await assert.rejects(wanted(session), (error: Error & { code: string }) => {
      assert.ok(code.split(' or ').includes(error.code), `${error.code}: ${error.message}`)
      return expected.test(error.message)
    })
    await session.close()
  }
})

test('web servers', async () => {
  const respond =
    (status: number, headers: Record<string, string>, body: string) => (response: ServerResponse) => {
      response.writeHead(status, headers).end(body)
    }
  const type = 'application/x-git-upload-pack-advertisement'
  const cases: [string, (response: ServerResponse) => void, string, RegExp][] = [
    ['an error', respond(500, {}, 'x'), 'ERR_REMOTE_REFUSED', /status 500/],
    ['nothing there', respond(404, {}, 'x'), 'ERR_REMOTE_REFUSED', /no Git repository/],
    ['a page', respond(200, { 'content-type': 'text/html' }, '<p>'), 'ERR_REMOTE_PROTOCOL', /"text\/html"/],
    ['garbage', respond(200, { 'content-type': type }, 'garbage'), 'ERR_REMOTE_PROTOCOL', /"garb"/],
    ['nothing', respond(200, { 'content-type': type }, ''), 'ERR_REMOTE_PROTOCOL', /too early/],
    [
      'a bomb',
      respond(200, { 'content-type': type, 'content-encoding': 'gzip' }, 'x'),
      'ERR_REMOTE_PROTOCOL',
      /compressed/,
    ],
    [
      'a cut',
      (response) => {
        response.writeHead(200, { 'content-type': type, 'content-length': '1000' }).write('001e# service=git')
        setTimeout(() => response.destroy(), 50)
      },
      'ERR_REMOTE_UNREACHABLE',
      /./,
    ],
    ['silence', () => {}, 'ERR_REMOTE_TIMEOUT', /did not answer for 2 s/],
    [
      'a stall',
      (response) => response.writeHead(200, { 'content-type': type }).write('001e# service=git'),
      'ERR_REMOTE_TIMEOUT',
      /said nothing/,
    ],
    [
      'a loop',
      respond(302, { location: '/info/refs?service=git-upload-pack' }, ''),
      'ERR_REMOTE_REFUSED',
      /more than 5 times/,
    ],
    [
      'away',
      respond(302, { location: 'ftp://x/info/refs?service=git-upload-pack' }, ''),
      'ERR_REMOTE_REFUSED',
      /cannot be/,
    ],
    [
      'elsewhere',
      respond(302, { location: '/login?secret=1' }, ''),
      'ERR_REMOTE_REFUSED',
      /another form|more than 5/,
    ],
  ]
  for (const [name, handle, code, expected] of cases) {
    await using server = await startHttp((_request, response) => handle(response))
    const remote = createGitRemote({
      url: `${server.url}/x`,
      patience: code === 'ERR_REMOTE_TIMEOUT' ? BRIEF : PATIENT,
    })
    await assert.rejects(remote.open(), (error: Error & { code: string }) => {
      assert.equal(error.code, code, `${name}: ${error.message}`)
      assert.match(error.message, expected, name)
      return !error.message.includes('secret')
    })
  }
  const closed = createGitRemote({ url: 'http://127.0.0.1:1/x', patience: PATIENT })
  await assert.rejects(closed.open(), { code: 'ERR_REMOTE_UNREACHABLE' })
})
