/** Connections through OpenSSH, with a real sshd. */
import assert from 'node:assert/strict'
import { access, appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { type SshConnection, type SshOptions, sshConnect } from '../../../src/git/transport/ssh.ts'
import { SshError } from '../../../src/git/transport/ssh-errors.ts'
import { until } from '../../support/process.ts'
import { generateSshKey, type Sshd, startSshd } from '../../support/sshd.ts'

let sshd: Sshd
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gxsshtest-'))
  sshd = await startSshd({ acceptEnv: ['GIT_PROTOCOL'] })
})
after(async () => {
  await sshd?.close()
  await rm(folder, { recursive: true, force: true })
})

function connect(command: string, options: Partial<SshOptions> = {}): Promise<SshConnection> {
  const { program, clientKey, host, port, user } = sshd
  return sshConnect({ host, port, user }, { program, identityFile: clientKey, command, ...options })
}

/** The error with which a connection ends. */
async function failure(connecting: Promise<SshConnection>): Promise<SshError> {
  try {
    const { stream } = await connecting
    stream.end()
    await text(stream)
  } catch (error) {
    assert.ok(error instanceof SshError, String(error))
    return error
  }
  assert.fail('nothing failed')
}

test('bytes go both ways, and the end of either side reaches the other', async () => {
  const { stream, closed, stderr } = await connect('cat; echo said >&2')
  const sent = Buffer.alloc(3_000_000, 'some bytes\n')
  stream.end(sent)
  const chunks = await Array.fromAsync(stream as AsyncIterable<Buffer>)
  assert.ok(Buffer.concat(chunks).equals(sent))
  assert.equal(await closed, 0)
  assert.match(stderr(), /said/)
})

test('the other side gets the variables that it accepts', async () => {
  const { stream } = await connect('echo "$GIT_PROTOCOL,$OTHER"', {
    setEnv: { GIT_PROTOCOL: 'version=2', OTHER: 'x' },
  })
  assert.equal(await text(stream), 'version=2,\n')
})

test('a destroyed connection ends the command on the other side, and nothing is left here', async () => {
  const file = join(folder, 'pid')
  const { stream, closed } = await connect(`echo $$ > ${file}; exec cat`)
  stream.write('x')
  await new Promise((resolve) => stream.once('data', resolve))
  const pid = (await readFile(file, 'utf8')).trim()
  stream.destroy()
  await new Promise((resolve) => stream.once('close', resolve))
  await closed
  await until(
    () => `the end of ${pid}`,
    () =>
      access(`/proc/${pid}`).then(
        () => undefined,
        () => true,
      ),
  )
})

test('a command that fails, or is not there, is named with its own words', async () => {
  const failed = await failure(connect("echo 'no \u001b[31mway' >&2; exit 3"))
  assert.equal(failed.code, 'ERR_SSH_COMMAND')
  assert.match(failed.message, /exit status 3\): no \[31mway$/)
  const missing = await failure(connect('no-such-program --stdio'))
  assert.equal(missing.code, 'ERR_SSH_COMMAND_MISSING')
  assert.match(missing.message, /no such command as no-such-program --stdio: .*not found/)
})

test('writing to a command that has ended fails with how it ended', async () => {
  const { stream } = await connect('exec 0<&-; echo gone >&2; exit 4')
  const error = await new Promise<Error>((resolve) => {
    stream.once('error', resolve).resume()
    const write = () => stream.write(Buffer.alloc(100_000), (failed) => failed || write())
    write()
  })
  assert.match(error.message, /exit status 4\): gone/)
})

test('a wrong key is refused', async () => {
  const other = join(folder, 'other')
  await generateSshKey(other)
  const error = await failure(connect('true', { identityFile: other }))
  assert.equal(error.code, 'ERR_SSH_AUTH')
  assert.match(error.message, /does not let us in: .*Permission denied \(publickey\)/)
  assert.equal((await failure(connect('true', { identityFile: join(folder, 'none') }))).code, 'ERR_SSH_AUTH')
})

test('an unknown and a changed host key end the connection before anything is sent', async () => {
  const known = await readFile(sshd.knownHosts, 'utf8')
  const changed = await generateSshKey(join(folder, 'changed'))
  try {
    await writeFile(sshd.knownHosts, '')
    assert.equal((await failure(connect('true'))).code, 'ERR_SSH_HOST_KEY_UNKNOWN')
    assert.equal(await readFile(sshd.knownHosts, 'utf8'), '')
    await writeFile(sshd.knownHosts, `[${sshd.host}]:${sshd.port} ${changed}\n`)
    const error = await failure(connect('true'))
    assert.equal(error.code, 'ERR_SSH_HOST_KEY')
    assert.ok(error.message.includes(sshd.knownHosts))
  } finally {
    await writeFile(sshd.knownHosts, known)
  }
})

test('an unreachable host says why', async () => {
  const { program } = sshd
  const refused = await failure(sshConnect({ host: '127.0.0.1', port: 1 }, { program, command: 'true' }))
  assert.equal(refused.code, 'ERR_SSH_UNREACHABLE')
  assert.match(refused.message, /cannot reach 127\.0\.0\.1:1 over SSH: .*Connection refused/)
  const nameless = await failure(sshConnect({ host: 'none.invalid' }, { program, command: 'true' }))
  assert.equal(nameless.code, 'ERR_SSH_UNREACHABLE')
  assert.match(nameless.message, /Could not resolve/)

  const silent = createServer((socket) => void socket.destroy())
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  const closed = await failure(sshConnect({ host: '127.0.0.1', port }, { program, command: 'true' }))
  assert.equal(closed.code, 'ERR_SSH_UNREACHABLE')
  silent.close()
})

test('names that are options or commands run nothing', async () => {
  const marker = join(folder, 'marker')
  const { program } = sshd
  const hosts = [
    `-oProxyCommand=touch ${marker}`,
    '',
    '-v',
    'a b',
    `$(touch ${marker})`,
    `\`touch ${marker}\``,
    `a;touch ${marker}`,
    'a\nb',
    'a\u0000b',
    "a'b",
    'user@host',
  ]
  // With such a configuration, a shell reads the name.
  await appendFile(sshd.clientConfig, 'Match exec "true %h %r"\n')
  for (const host of hosts) {
    assert.equal((await failure(sshConnect({ host }, { program, command: 'true' }))).code, 'ERR_SSH_HOST')
    const asUser = sshConnect({ host: '127.0.0.1', user: host }, { program, command: 'true' })
    if (!host.includes('@')) assert.equal((await failure(asUser)).code, 'ERR_SSH_HOST')
    else await failure(asUser)
  }
  await assert.rejects(access(marker))
})

test('a command that begins with a dash goes to the other side', async () => {
  const error = await failure(connect(`-oProxyCommand=touch ${folder}/dash`))
  assert.match(error.code, /^ERR_SSH_COMMAND/)
  await assert.rejects(access(`${folder}/dash`))
})

test('without ssh there is a way out in the message', async () => {
  const error = await failure(connect('true', { program: join(folder, 'no-ssh') }))
  assert.equal(error.code, 'ERR_SSH_MISSING')
  assert.match(error.message, /install the OpenSSH client/)
})

test('nothing is started when the signal has fired', async () => {
  const connecting = sshConnect({ host: '127.0.0.1' }, { command: 'true' }, AbortSignal.abort())
  await assert.rejects(connecting, { code: 'ERR_ABORTED' })
})
