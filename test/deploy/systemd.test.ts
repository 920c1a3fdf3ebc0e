/** The units as systemd itself reads and rates them, and the system calls that a node makes against their filter. */
import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Gachix } from '../support/gachix.ts'
import { attempt, run, runLines } from '../support/process.ts'

const UNITS = join(import.meta.dirname, '../../deploy/systemd')
const SERVICE = join(UNITS, 'gachix.service')
/** What `systemd-analyze security` may give at most, in tenths of its scale of 10. */
const MAX_EXPOSURE = 29

/** Runs a program with `/proc` as ProtectProc=invisible and ProcSubset=pid show it. */
const PROC = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  'mount -t proc -o subset=pid,hidepid=2 none /proc && exec "$@"',
  'sh',
]

test('systemd finds no fault in the units', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-units-'))
  try {
    await cp(UNITS, folder, { recursive: true })
    // The one thing that only an installed node has: the program.
    const service = await readFile(SERVICE, 'utf8')
    const installed = service.replace('ExecStart=/usr/local/bin/gachix', `ExecStart=${process.execPath}`)
    assert.notEqual(installed, service)
    await writeFile(join(folder, 'gachix.service'), installed)
    const units = ['gachix.service', 'gachix.socket'].map((name) => join(folder, name))
    const verified = await attempt('systemd-analyze', ['verify', ...units])
    assert.deepEqual([verified.code, verified.stderr], [0, ''])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('systemd rates the exposure of the service below 3.0', async () => {
  const threshold = ['security', '--offline=true', `--threshold=${MAX_EXPOSURE}`, SERVICE]
  const rated = await attempt('systemd-analyze', threshold, { env: { ...process.env, LC_ALL: 'C.UTF-8' } })
  assert.equal(rated.code, 0, rated.stdout.toString())
  const [, exposure] = /exposure level for gachix.service: ([\d.]+)/.exec(rated.stdout.toString()) ?? []
  assert.ok(Number(exposure) < 3, exposure)
})

test('systemd reads the snippets that make the user and the folders', async () => {
  const root = await mkdtemp(join(tmpdir(), 'gachix-root-'))
  try {
    await mkdir(join(root, 'etc'))
    await run('systemd-sysusers', [`--root=${root}`, join(UNITS, 'gachix.sysusers.conf')])
    assert.match(await readFile(join(root, 'etc/passwd'), 'utf8'), /^gachix:.*:\/var\/lib\/gachix:/m)
    await run('systemd-tmpfiles', [`--root=${root}`, '--create', join(UNITS, 'gachix.tmpfiles.conf')])
    const made = await runLines('stat', [
      '-c',
      '%a %n',
      join(root, 'var/lib/gachix'),
      join(root, 'etc/gachix'),
    ])
    assert.deepEqual(made, [`750 ${root}/var/lib/gachix`, `750 ${root}/etc/gachix`])
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})

describe('the filter of system calls', () => {
  let gachix: Gachix
  before(async () => {
    gachix = await Gachix.create()
  })
  after(() => gachix.close())

  test('has all that a node needs to start, serve, stop, and to run git', async () => {
    const trace = join(gachix.repository, '../trace')
    // -D: the tracer is a child of the node, so that signals reach the node itself.
    const strace = ['strace', '-D', '-f', '-qq', '-e', 'signal=none', '-o', trace]
    const node = await gachix.serve({ GACHIX__MESH__LISTEN: '/ip4/127.0.0.1/tcp/0' }, [...PROC, ...strace])
    assert.equal((await fetch(`${node.url}/nix-cache-info`)).status, 200)
    await node.stop()
    await run('strace', ['-f', '-qq', '-A', '-o', trace, 'git', '-C', gachix.repository, 'fsck'])
    const allowed = await allowedCalls()
    const made = new Map<string, string>()
    for (const [line] of (await readFile(trace, 'utf8')).matchAll(/^\d+ +\w+\(.*$/gm)) {
      made.set(/^\d+ +(\w+)/.exec(line)![1]!, line)
    }
    assert.ok(made.size > 40, `${made.size} kinds of calls were seen`)
    // Made by SQLite where it runs as root, as this test does and the service does not.
    const optional = new Set(['fchown'])
    const missing = [...made].filter(([name]) => !allowed.has(name) && !optional.has(name))
    assert.deepEqual(missing, [])
  })
})

/** The system calls that the unit's filter lets through. */
async function allowedCalls(): Promise<Set<string>> {
  const allowed = new Set(await callsOf('@default'))
  const service = await readFile(SERVICE, 'utf8')
  const filters = Array.from(service.matchAll(/^SystemCallFilter=(~?)(.*)$/gm))
  assert.equal(filters.length, 2)
  for (const [, minus, names] of filters) {
    for (const name of names!.split(' ')) {
      for (const call of await callsOf(name)) {
        if (minus === '~') allowed.delete(call)
        else allowed.add(call)
      }
    }
  }
  return allowed
}

/** A set of system calls as systemd defines it, sets in it resolved. */
async function callsOf(name: string): Promise<string[]> {
  if (!name.startsWith('@')) return [name]
  const [, ...lines] = await runLines('systemd-analyze', ['syscall-filter', name])
  const members = lines.map((line) => line.trim()).filter((line) => !line.startsWith('#'))
  return (await Promise.all(members.map(callsOf))).flat()
}
