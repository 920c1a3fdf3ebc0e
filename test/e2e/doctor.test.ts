/** `gachix doctor` finds nothing where nothing is wrong, and each planted fault by its code, with the mend; it changes nothing. */
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { before, beforeEach, describe, test } from 'node:test'
import type { Report } from '../../src/doctor/examine.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { Gachix } from '../support/gachix.ts'
import { NixStore } from '../support/nix.ts'
import { freePort, run } from '../support/process.ts'
import { runHere, Sandbox } from '../unit/cli/gachix.ts'
import { FAULTS, type Installation } from './doctor-faults.ts'

let port: number
before(async () => {
  port = await freePort()
})

async function install(): Promise<Installation> {
  const sandbox = await Sandbox.create()
  const store = sandbox.file('cache')
  const key = sandbox.file('key')
  const nixConf = sandbox.file('etc/nix.conf')
  await run('git', ['init', '--quiet', '--bare', store])
  await mkdir(join(store, 'gachix'))
  await mkdir(sandbox.file('etc'))
  const env = {
    PATH: process.env.PATH!,
    HOME: sandbox.path,
    NIX_CONF_DIR: sandbox.file('etc'),
    GACHIX__STORE__PATH: store,
    GACHIX__STORE__USE_LOCAL_NIX_DAEMON: 'false',
    GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: key,
    GACHIX__SERVER__PORT: String(port),
    GACHIX__MESH__LISTEN: '/ip4/127.0.0.1/tcp/0',
  }
  const made = await runHere(['key', 'generate', '--name', 'doctor.test-1', '--out', key], env)
  assert.equal(made.code, 0, made.stderr)
  await runHere(['use', '--write', '--file', nixConf], env)
  await run('git', ['-C', store, 'hash-object', '-w', '--stdin'], { input: 'content\n' })
  await run('git', ['-C', store, 'pack-objects', '--quiet', 'objects/pack/pack'], {
    input: 'd95f3ad14dee633a758d2e331151e950dd13e4ed\n',
  })
  return { sandbox, env, store, port, key, nixConf, cleanups: [] }
}

async function examine(env: Record<string, string>): Promise<{ code: number | null; findings: Finding[] }> {
  const { code, stdout } = await runHere(['doctor', '--json'], env)
  const reports = JSON.parse(stdout) as Report[]
  return { code, findings: reports.flatMap(({ findings }) => findings) }
}

describe('gachix doctor', () => {
  let at: Installation
  beforeEach(async () => {
    at = await install()
  })
  const remove = async () => {
    for (const cleanup of at.cleanups) await cleanup()
    await run('rm', ['-rf', at.sandbox.path])
  }

  test('finds nothing where nothing is wrong, and changes nothing', async () => {
    const list = async () => (await run('find', [at.sandbox.path, '-printf', '%p %T@ %s %m\n'])).toString()
    const before = await list()
    assert.deepEqual(await examine(at.env), { code: 0, findings: [] })
    assert.equal(await list(), before)
    await remove()
  })

  for (const [code, severity, mend, plant] of FAULTS) {
    test(`${code} and its mend`, async () => {
      try {
        const env = { ...at.env, ...((await plant(at)) as Record<string, string> | undefined) }
        const found = await examine(env)
        assert.deepEqual(
          found.findings.map((finding) => [finding.code, finding.severity]),
          [[code, severity]],
        )
        assert.match(found.findings[0]!.mend, mend)
        assert.equal(found.code, severity === 'error' ? 1 : 0)
      } finally {
        await remove()
      }
    })
  }
})

test('finds nothing at a node that serves beside a real daemon, for people as for scripts', async () => {
  await using nix = await NixStore.start()
  await using gachix = await Gachix.create({
    daemonSocket: nix.socket,
    env: { GACHIX__MESH__LISTEN: '/ip4/127.0.0.1/tcp/0' },
  })
  const node = await gachix.serve({}, [], port)
  const env = { GACHIX__SERVER__PORT: String(port), NIX_CONF_DIR: gachix.env.HOME! }
  const before = await gachix.attempt(['doctor'], env)
  assert.equal(before.code, 0, before.stdout.toString())
  assert.match(
    before.stdout.toString(),
    /^warning {2}client: .*\[CLIENT_NOT_CONFIGURED\]\n +mend: gachix use --write$/m,
  )
  await gachix.run(['use', '--write'], env)
  const after = await gachix.run(['doctor'], env)
  assert.match(after, /^ok +daemon$/m)
  assert.ok(!/error|warning/.test(after), after)
  await node.stop()
})
