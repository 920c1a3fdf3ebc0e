import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readdir, rename, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { GachixError } from '../util/errors.ts'
import { ifPresent, isSystemError, readFully, writeFully } from './durable-file.ts'
import { isRunning, processStartTime } from './process-identity.ts'

/** What the lock file says of the process that has the repository open. */
export interface LockHolder {
  readonly pid: number
  /** When the process was started, in the kernel's clock ticks since boot; absent where there is no `/proc`. */
  readonly startTime?: string
  readonly host: string
  /** Path of the socket on which the process takes commands. */
  readonly controlSocket?: string
  /** When the repository was opened, as ISO 8601. */
  readonly since: string
  /** Tells this lock from all others. */
  readonly id: string
}

/** What the holder tells others of itself. */
export interface LockInfo {
  controlSocket?: string
}

/** Another process has the repository open. */
export class RepositoryLockedError extends GachixError {
  /** Absent when the lock file cannot be read. */
  readonly holder: LockHolder | undefined

  constructor(path: string, holder: LockHolder | undefined) {
    super('ERR_LOCKED', describe(path, holder))
    this.holder = holder
  }
}

function describe(path: string, holder: LockHolder | undefined): string {
  if (holder === undefined) {
    return `the lock file ${path} cannot be understood. If no gachix runs on this repository, remove it`
  }
  if (holder.host === hostname()) {
    return `the repository is in use by process ${holder.pid} since ${holder.since} (lock file ${path}). Stop that process first`
  }
  return (
    `the repository is in use by process ${holder.pid} on host ${holder.host} since ${holder.since}. ` +
    `If that process is gone, remove ${path}`
  )
}

const LOCK_FILE = 'lock'
const MAX_LOCK_BYTES = 64 * 1024
const MAX_TRIES = 100
const MAX_CHAIN = 100

/**
 * The right to write to a repository, which one process has at a time.
 *
 * The file `lock` names the holder. When that process is dead, whoever wants its place makes the file
 * `lock.<id of the dead lock>`, which succeeds for one only, and which is a lock itself: should this process die before it has
 * put its own lock in place of `lock`, the next one takes over from it in the same way. The holder is whom the end of this
 * chain names. A claim counts only while the chain that led to it still stands, since the chain is cut off at its
 * beginning, by replacing `lock`, before its other files are removed.
 */
export class RepositoryLock {
  readonly #directory: string
  readonly #holder: LockHolder
  #held = true

  private constructor(directory: string, holder: LockHolder) {
    this.#directory = directory
    this.#holder = holder
  }

  /**
   * Takes the lock, from a dead process if need be.
   *
   * @param gitDir the repository itself when it is bare, else its `.git`
   * @throws RepositoryLockedError when a living process, this one included, or one on another host has it
   */
  static async acquire(gitDir: string, info: LockInfo = {}): Promise<RepositoryLock> {
    const directory = join(gitDir, 'gachix')
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const startTime = await processStartTime(process.pid)
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const holder: LockHolder = {
        pid: process.pid,
        ...(startTime === undefined ? {} : { startTime }),
        host: hostname(),
        ...(info.controlSocket === undefined ? {} : { controlSocket: info.controlSocket }),
        since: new Date().toISOString(),
        id: randomUUID(),
      }
      const temporary = join(directory, `lock-new.${holder.id}`)
      await writeLock(temporary, holder)
      try {
        if (await claim(directory, temporary)) {
          await settle(directory, temporary)
          return new RepositoryLock(directory, holder)
        }
      } finally {
        await ifPresent(unlink(temporary))
      }
    }
    throw new RepositoryLockedError(join(directory, LOCK_FILE), undefined)
  }

  /** Who holds the lock now; `undefined` when nobody living does. @throws RepositoryLockedError when the file is no lock */
  static async read(gitDir: string): Promise<LockHolder | undefined> {
    const directory = join(gitDir, 'gachix')
    const holder = (await readChain(directory)).at(-1)
    return holder !== undefined && (await isAlive(holder)) ? holder : undefined
  }

  /** Lets the repository go. Does nothing the second time. */
  async release(): Promise<void> {
    if (!this.#held) return
    this.#held = false
    const path = join(this.#directory, LOCK_FILE)
    const current = await readLock(path)
    if (current?.id === this.#holder.id) await ifPresent(unlink(path))
  }
}

/** Makes the file at `temporary` the end of the chain; false when another process was quicker. */
async function claim(directory: string, temporary: string): Promise<boolean> {
  const chain = await readChain(directory)
  const last = chain.at(-1)
  if (last !== undefined && (await isAlive(last))) {
    throw new RepositoryLockedError(join(directory, LOCK_FILE), last)
  }
  const path = join(directory, last === undefined ? LOCK_FILE : `${LOCK_FILE}.${last.id}`)
  try {
    await link(temporary, path)
  } catch (error) {
    // ENOENT: a new holder has tidied our temporary file away.
    if (isSystemError(error, 'EEXIST', 'ENOENT')) return false
    throw error
  }
  const now = await readChain(directory)
  const stands = chain.every(({ id }, i) => now[i]?.id === id)
  if (stands) return true
  await ifPresent(unlink(path))
  return false
}

/** Puts the holder's lock at the beginning of the chain and removes the rest of it, and what dead processes left. */
async function settle(directory: string, temporary: string): Promise<void> {
  await rename(temporary, join(directory, LOCK_FILE))
  for (const name of await readdir(directory)) {
    if (name.startsWith(`${LOCK_FILE}.`) || name.startsWith('lock-new.'))
      await ifPresent(unlink(join(directory, name)))
  }
}

/** The locks from `lock` on, each taken over by the next. */
async function readChain(directory: string): Promise<LockHolder[]> {
  const chain: LockHolder[] = []
  let path = join(directory, LOCK_FILE)
  while (chain.length < MAX_CHAIN) {
    const holder = await readLock(path)
    if (holder === undefined) return chain
    chain.push(holder)
    path = join(directory, `${LOCK_FILE}.${holder.id}`)
  }
  // Each link takes a crash within a moment; files that were made by hand may even lead in a circle.
  throw new RepositoryLockedError(path, undefined)
}

async function isAlive(holder: LockHolder): Promise<boolean> {
  if (holder.host !== hostname()) return true
  return await isRunning(holder.pid, holder.startTime)
}

async function writeLock(path: string, holder: LockHolder): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await writeFully(file, Buffer.from(`${JSON.stringify(holder)}\n`), 0)
    // A power failure must not leave an empty file that nobody can judge.
    await file.sync()
  } finally {
    await file.close()
  }
}

/** @throws RepositoryLockedError when there is a file that is no lock */
async function readLock(path: string): Promise<LockHolder | undefined> {
  const file = await ifPresent(open(path, 'r'))
  if (file === undefined) return undefined
  try {
    const buffer = Buffer.alloc(MAX_LOCK_BYTES)
    const holder = parseLock(buffer.toString('utf8', 0, await readFully(file, buffer, 0)))
    if (holder === undefined) throw new RepositoryLockedError(path, undefined)
    return holder
  } finally {
    await file.close()
  }
}

function parseLock(text: string): LockHolder | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { pid, startTime, host, controlSocket, since, id } = value as Record<string, unknown>
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined
  if (typeof host !== 'string' || typeof since !== 'string') return undefined
  if (typeof id !== 'string' || !/^[0-9a-z-]{1,64}$/.test(id)) return undefined
  if (startTime !== undefined && typeof startTime !== 'string') return undefined
  if (controlSocket !== undefined && typeof controlSocket !== 'string') return undefined
  return {
    pid,
    ...(startTime === undefined ? {} : { startTime }),
    host,
    ...(controlSocket === undefined ? {} : { controlSocket }),
    since,
    id,
  }
}
