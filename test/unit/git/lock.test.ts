import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { RepositoryLock, RepositoryLockedError } from '../../../src/git/lock.ts'
import { isRunning, processStartTime } from '../../../src/git/process-identity.ts'
import { temporaryDirectory } from './refs/arbitraries.ts'

const CHILD = fileURLToPath(new URL('lock-child.ts', import.meta.url))

/** A process that takes the lock when it is told to. */
class Contender {
  readonly child: ChildProcessWithoutNullStreams
  readonly #exit: Promise<unknown>
  #output = ''

  constructor(gitDir: string) {
    this.child = spawn(process.execPath, [CHILD, gitDir])
    this.#exit = once(this.child, 'exit')
    this.child.stderr.pipe(process.stderr)
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text
    })
  }

  /** The line with this number, as soon as it is there. */
  async line(number: number): Promise<string> {
    while (this.#output.split('\n').length <= number + 1) await once(this.child.stdout, 'data')
    return this.#output.split('\n')[number]!
  }

  begin(): void {
    this.child.stdin.write('go\n')
  }

  async end(signal?: NodeJS.Signals): Promise<void> {
    if (signal === undefined) this.child.stdin.end()
    else this.child.kill(signal)
    await this.#exit
  }
}

/** Lets several processes take the lock at once; returns the one that did, after the others have ended. */
async function race(gitDir: string, count: number): Promise<Contender> {
  const contenders = Array.from({ length: count }, () => new Contender(gitDir))
  await Promise.all(contenders.map((contender) => contender.line(0)))
  for (const contender of contenders) contender.begin()
  const results = await Promise.all(contenders.map((contender) => contender.line(1)))
  const winners = contenders.filter((_, i) => results[i] === 'held')
  assert.equal(winners.length, 1, results.join(' '))
  assert.deepEqual(
    results.filter((result) => result !== 'held'),
    Array(count - 1).fill('ERR_LOCKED'),
  )
  await Promise.all(
    contenders.filter((contender) => contender !== winners[0]).map((contender) => contender.end()),
  )
  return winners[0]!
}

async function writeHolder(gitDir: string, holder: object): Promise<void> {
  await mkdir(join(gitDir, 'gachix'), { recursive: true })
  await writeFile(join(gitDir, 'gachix', 'lock'), JSON.stringify(holder))
}

test('the lock names its holder and is gone after release', async (t) => {
  const gitDir = await temporaryDirectory(t)
  assert.equal(await RepositoryLock.read(gitDir), undefined)
  const lock = await RepositoryLock.acquire(gitDir, { controlSocket: '/run/x' })
  const holder = await RepositoryLock.read(gitDir)
  assert.equal(holder?.pid, process.pid)
  assert.equal(holder?.host, hostname())
  assert.equal(holder?.controlSocket, '/run/x')
  assert.equal(holder?.startTime, await processStartTime(process.pid))
  await assert.rejects(RepositoryLock.acquire(gitDir), (error: unknown) => {
    assert.ok(error instanceof RepositoryLockedError)
    assert.equal(error.code, 'ERR_LOCKED')
    assert.ok(
      error.message.includes(`process ${process.pid}`) &&
        error.message.includes(join(gitDir, 'gachix', 'lock')),
    )
    return true
  })
  assert.deepEqual(await readdir(join(gitDir, 'gachix')), ['lock'])
  await lock.release()
  await lock.release()
  assert.deepEqual(await readdir(join(gitDir, 'gachix')), [])
  await (await RepositoryLock.acquire(gitDir)).release()
})

test('a lock of a dead process, and of one whose id was used again, is taken over', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  const dead = { pid: child.pid, host: hostname(), since: 'then', id: 'a-1' }
  const reused = { pid: process.pid, startTime: '1', host: hostname(), since: 'then', id: 'a-2' }
  for (const holder of [dead, reused]) {
    await writeHolder(gitDir, holder)
    assert.equal(await RepositoryLock.read(gitDir), undefined)
    const lock = await RepositoryLock.acquire(gitDir)
    assert.deepEqual(await readdir(join(gitDir, 'gachix')), ['lock'])
    assert.equal((await RepositoryLock.read(gitDir))?.pid, process.pid)
    await lock.release()
  }
})

test('a takeover that was itself interrupted is taken over', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const gone = { pid: 2 ** 22 + 1, host: hostname(), since: 'then' }
  await writeHolder(gitDir, { ...gone, id: 'first' })
  await writeFile(join(gitDir, 'gachix', 'lock.first'), JSON.stringify({ ...gone, id: 'second' }))
  await writeFile(join(gitDir, 'gachix', 'lock.second'), JSON.stringify({ ...gone, id: 'third' }))
  await writeFile(join(gitDir, 'gachix', 'lock-new.x'), '')
  const winner = await race(gitDir, 3)
  assert.deepEqual(await readdir(join(gitDir, 'gachix')), ['lock'])
  await winner.end()
})

test('the end of a takeover holds the lock', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const startTime = await processStartTime(process.pid)
  await writeHolder(gitDir, { pid: 2 ** 22 + 1, host: hostname(), since: 'then', id: 'first' })
  const own = { pid: process.pid, startTime, host: hostname(), since: 'now', id: 'second' }
  await writeFile(join(gitDir, 'gachix', 'lock.first'), JSON.stringify(own))
  assert.equal((await RepositoryLock.read(gitDir))?.pid, process.pid)
  await assert.rejects(RepositoryLock.acquire(gitDir), { code: 'ERR_LOCKED' })
})

test('a lock of another host is respected', async (t) => {
  const gitDir = await temporaryDirectory(t)
  await writeHolder(gitDir, { pid: 1, host: `${hostname()}-other`, since: 'then', id: 'x' })
  await assert.rejects(RepositoryLock.acquire(gitDir), (error: unknown) => {
    assert.ok(error instanceof RepositoryLockedError)
    assert.ok(error.message.includes(`on host ${hostname()}-other`) && error.message.includes('remove'))
    return true
  })
})

test('a file that is no lock is left alone', async (t) => {
  const gitDir = await temporaryDirectory(t)
  await mkdir(join(gitDir, 'gachix'))
  const path = join(gitDir, 'gachix', 'lock')
  const loop = JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), since: 'x', id: 'loop' })
  for (const text of [
    '',
    'x',
    'null',
    '[]',
    '{"pid":1}',
    '{"pid":1,"host":"h","since":"s","id":"../x"}',
    '{"pid":-1,"host":"h","since":"s","id":"x"}',
  ]) {
    await writeFile(path, text)
    await assert.rejects(RepositoryLock.acquire(gitDir), { code: 'ERR_LOCKED' }, text)
    await assert.rejects(RepositoryLock.read(gitDir), { code: 'ERR_LOCKED' })
    assert.equal(await readFile(path, 'utf8'), text)
  }
  await writeFile(path, loop)
  await writeFile(join(gitDir, 'gachix', 'lock.loop'), loop)
  await assert.rejects(RepositoryLock.read(gitDir), { code: 'ERR_LOCKED' })
})

test('of many processes one wins, also for the lock of one that was killed', async (t) => {
  const gitDir = await temporaryDirectory(t)
  let winner = await race(gitDir, 4)
  for (let round = 0; round < 4; round++) {
    await winner.end(round % 2 === 0 ? 'SIGKILL' : undefined)
    winner = await race(gitDir, 4)
  }
  await winner.end()
  assert.deepEqual(await readdir(join(gitDir, 'gachix')), [])
})

test('tasks of one process take over a dead lock one at a time', async (t) => {
  const gitDir = await temporaryDirectory(t)
  for (let round = 0; round < 30; round++) {
    await writeHolder(gitDir, { pid: 2 ** 22 + 1, host: hostname(), since: 'then', id: `dead-${round}` })
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => RepositoryLock.acquire(gitDir)))
    const held = results.filter((result) => result.status === 'fulfilled')
    assert.equal(held.length, 1)
    await held[0]!.value.release()
    assert.deepEqual(await readdir(join(gitDir, 'gachix')), [])
  }
})

test('processes are told from later ones with their id', async () => {
  assert.equal(await isRunning(process.pid), true)
  assert.equal(await isRunning(process.pid, await processStartTime(process.pid)), true)
  assert.equal(await isRunning(process.pid, '1'), false)
  assert.equal(await isRunning(2 ** 22 + 1), false)
})
