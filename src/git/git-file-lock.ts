import { link, open, stat, unlink } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { AbortedError, GachixError } from '../util/errors.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import { ifPresent, isSystemError } from './durable-file.ts'

/** How long another process's lock is waited for, in milliseconds. Git holds its locks for moments. */
export const LOCK_WAIT_MS = 5000

const RETRY_MS = 20

/** Another process holds one of Git's own lock files (`packed-refs.lock`, `config.lock`, …). */
export class GitFileLockedError extends GachixError {
  constructor(lockPath: string) {
    super(
      'ERR_GIT_FILE_LOCKED',
      `${lockPath} exists: another Git process is changing the repository. If none runs, it is left over from a crash and can be removed`,
    )
  }
}

export interface GitFileLockOptions extends AbortOptions {
  /** The longest wait, in milliseconds. */
  wait?: number
}

/**
 * One of Git's own lock files, `<file>.lock`, whose existence is the lock.
 *
 * It is made as a hard link to a file of ours, the marker. So a lock that we left behind when we were killed is known
 * by its inode and taken over, while one that Git left is never touched. Only the owner of the repository may use it,
 * for one lock of a name at a time.
 */
export class GitFileLock {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /**
   * @param file the file to lock, not the lock file
   * @param marker a file in the same file system; made when it is not there
   * @throws GitFileLockedError when another process keeps the lock; AbortedError; ENOENT when the file's directory does not exist
   */
  static async acquire(file: string, marker: string, options: GitFileLockOptions = {}): Promise<GitFileLock> {
    const path = `${file}.lock`
    const end = performance.now() + (options.wait ?? LOCK_WAIT_MS)
    await touch(marker)
    for (;;) {
      if (options.signal?.aborted) throw new AbortedError(undefined, { cause: options.signal.reason })
      try {
        await link(marker, path)
        return new GitFileLock(path)
      } catch (error) {
        if (!isSystemError(error, 'EEXIST')) throw error
      }
      if (await isSameFile(marker, path)) return new GitFileLock(path)
      if (performance.now() >= end) throw new GitFileLockedError(path)
      await setTimeout(RETRY_MS)
    }
  }

  async release(): Promise<void> {
    await ifPresent(unlink(this.path))
  }
}

async function touch(path: string): Promise<void> {
  const file = await open(path, 'a', 0o600)
  await file.close()
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([ifPresent(stat(a)), ifPresent(stat(b))])
  return first !== undefined && second !== undefined && first.ino === second.ino && first.dev === second.dev
}
