/** A machine with Nix, reached through a real sshd: what goes wrong on the way. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { addPackages } from '../../../src/ingest/add.ts'
import { createBuilderSource } from '../../../src/ingest/builder/source.ts'
import { StorePath } from '../../../src/nix/store-path.ts'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { errorCode } from '../../../src/util/errors.ts'
import { NixStore } from '../../support/nix.ts'
import { sessionOf } from '../../support/nix-facts.ts'
import { runLines } from '../../support/process.ts'
import { type Sshd, startSshd } from '../../support/sshd.ts'

const ABSENT = '0'.repeat(32)

let nix: NixStore
let sshd: Sshd
let folder: string

before(async () => {
  nix = await NixStore.start()
  sshd = await startSshd({ wrap: (command) => nix.commandInside(command), setEnv: sessionOf(nix) })
  folder = await mkdtemp(join(tmpdir(), 'gxbuilder-'))
})
after(async () => {
  await sshd?.close()
  await nix?.close()
  await rm(folder, { recursive: true, force: true })
})

function builder(parameters = '', options: { identityFile?: string } = {}) {
  const { user, host, port, program, clientKey } = sshd
  const url = `ssh-ng://${user}@${host}:${port}${parameters}`
  return createBuilderSource({ url, name: 'builder' }, { program, identityFile: clientKey, ...options })
}

/** Code and message of the error that asking ends in. */
async function refusal(source: ReturnType<typeof builder>): Promise<string> {
  try {
    await source.pathInfo(ABSENT)
  } catch (error) {
    return `${errorCode(error)}: ${String(error)}`
  } finally {
    source.close()
  }
  assert.fail('nothing was refused')
}

test('a closure is learned through SSH', async () => {
  const [root] = (await nix.build(['diamond-top'])).map((path) => StorePath.parse(path))
  const source = builder()
  const store = await GitPackageStore.open({ path: join(folder, 'store') })
  try {
    const { added } = await addPackages(store, source, [root!])
    assert.equal(added, (await nix.closure([root!.toString()])).length)
    assert.ok(store.hasClosure(root!.hash))
  } finally {
    source.close()
    await store.close()
  }
})

test('a wrong key, a wrong port and a changed host key are told by their codes', async () => {
  assert.match(await refusal(builder('', { identityFile: join(folder, 'none') })), /^ERR_SSH_AUTH: /)
  const { program } = sshd
  const nobody = createBuilderSource({ url: 'ssh-ng://127.0.0.1:1', name: 'x' }, { program })
  assert.match(await refusal(nobody), /^ERR_SSH_UNREACHABLE: .*nix-ssh@127\.0\.0\.1:1 .*Connection refused/)
})

test('a program that is not there, fails or speaks something else is told', async () => {
  assert.match(await refusal(builder('?remote-program=no-daemon')), /^ERR_SSH_COMMAND_MISSING: .*no-daemon/)
  assert.match(await refusal(builder('?remote-program=false')), /^ERR_SSH_COMMAND: .*false --stdio on /)
  assert.match(await refusal(builder('?remote-program=echo')), /^ERR_DAEMON_PROTOCOL: .*builder/)
})

test('another program and another store of the machine can be named', async () => {
  const other = join(folder, 'other-store')
  const source = builder(
    `?remote-program=/usr/bin/env%20nix-daemon&remote-store=${encodeURIComponent(other)}`,
  )
  try {
    assert.equal(await source.pathInfo(ABSENT), undefined)
  } finally {
    source.close()
  }
})

test('a connection that was cut while nobody used it is made anew', async () => {
  const source = builder()
  try {
    assert.equal(await source.pathInfo(ABSENT), undefined)
    const own = await runLines('ps', ['--ppid', String(process.pid), '-o', 'pid=,args='])
    const connections = own.filter((line) => line.includes(sshd.clientConfig))
    assert.equal(connections.length, 1)
    process.kill(Number.parseInt(connections[0]!, 10))
    assert.equal(await source.pathInfo(ABSENT), undefined)
  } finally {
    source.close()
  }
})
