import { closeSync, type Dirent, openSync, readdirSync, readSync } from 'node:fs'
import { lstat, readdir, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Turns } from '../../util/turns.ts'
import { ifPresent, isSystemError, syncDirectory } from '../durable-file.ts'
import { GitFileLock, type GitFileLockOptions } from '../git-file-lock.ts'
import { isOid, type Oid } from '../oid.ts'
import { isRefName } from './ref-name.ts'

/** A file under `refs/` that is no usable ref. */
export interface LooseRefProblem {
  /** Ref name that the file's place makes. */
  readonly name: string
  readonly reason: string
}

/** What lies under `refs/`. */
export interface LooseRefs {
  readonly refs: ReadonlyMap<string, Oid>
  /** At most `MAX_PROBLEMS`, in no order. */
  readonly problems: readonly LooseRefProblem[]
}

/** How many problems a scan keeps. */
export const MAX_PROBLEMS = 100
/** Deepest directory under `refs/` that is looked into. */
const MAX_DEPTH = 64
/** A ref file holds 41 bytes; a symbolic one a name. What is longer is no ref. */
const READ_BYTES = 64

const KEPT_DIRECTORIES = new Set(['refs', 'refs/heads', 'refs/tags', 'refs/remotes'])

/**
 * Reads the refs that have files of their own. Symbolic refs and lock files are passed over, symbolic links are not
 * followed, and a file that is no ref is reported and otherwise ignored, as Git does.
 */
export async function scanLooseRefs(gitDir: string): Promise<LooseRefs> {
  const refs = new Map<string, Oid>()
  const problems: LooseRefProblem[] = []
  const report = (name: string, reason: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push({ name, reason })
  }
  const content = Buffer.alloc(READ_BYTES)
  const directories = ['refs']
  // File by file through the thread pool takes several times as long as this, and 100,000 packages are 200,000 files.
  const turns = new Turns()
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for (const entry of readDirectory(join(gitDir, directory), directory, report)) {
      const pause = turns.next()
      if (pause !== undefined) await pause
      const name = `${directory}/${entry.name}`
      if (entry.isDirectory()) {
        if (name.split('/').length > MAX_DEPTH) report(name, 'the directory is nested too deeply')
        else directories.push(name)
      } else if (entry.name.endsWith('.lock')) {
        // Git's own, or left over from a crash of Git: no ref either way.
      } else if (!entry.isFile()) {
        report(name, entry.isSymbolicLink() ? 'symbolic links are not followed' : 'not a regular file')
      } else if (!isRefName(name)) {
        report(name, 'not a valid ref name')
      } else {
        readRef(join(gitDir, name), name, content, refs, report)
      }
    }
  }
  return { refs, problems }
}

/**
 * Removes the files of refs whose values `packed-refs` has taken over, under Git's own per-ref locks, with the
 * directories that become empty. Durable when it resolves: an old file that came back would hide the packed value.
 *
 * @param names valid ref names
 * @param marker see `GitFileLock`
 * @throws GitFileLockedError
 */
export async function removeLooseRefs(
  gitDir: string,
  names: Iterable<string>,
  marker: string,
  options?: GitFileLockOptions,
): Promise<void> {
  const present = new Set((await ifPresent(readdir(join(gitDir, 'refs')))) ?? [])
  const changed = new Set<string>()
  for (const name of names) {
    // One listing spares a look at the disk for each of the many packages that have no loose refs.
    const first = name.split('/')[1] ?? ''
    if (!present.has(first) && !present.has(`${first}.lock`)) continue
    if (!(await removeLooseRef(gitDir, name, marker, options))) continue
    changed.add(await removeEmptyDirectories(gitDir, dirname(name)))
  }
  for (const directory of changed) await ifPresent(syncDirectory(join(gitDir, directory)))
}

/** Whether there was a file, or a lock of ours left over. */
async function removeLooseRef(
  gitDir: string,
  name: string,
  marker: string,
  options?: GitFileLockOptions,
): Promise<boolean> {
  const path = join(gitDir, name)
  const lock = await ifPresent(GitFileLock.acquire(path, marker, options))
  if (lock === undefined) return false
  try {
    // A directory in the ref's place holds other refs and stays.
    const stats = await ifPresent(lstat(path))
    if (stats !== undefined && !stats.isDirectory()) await ifPresent(unlink(path))
  } finally {
    await lock.release()
  }
  return true
}

/** Removes a directory of refs and those above it as far as they are empty; returns the first that stays. */
async function removeEmptyDirectories(gitDir: string, directory: string): Promise<string> {
  let at = directory
  while (!KEPT_DIRECTORIES.has(at)) {
    try {
      await rmdir(join(gitDir, at))
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) break
    }
    at = dirname(at)
  }
  return at
}

type Report = (name: string, reason: string) => void

function readDirectory(path: string, name: string, report: Report): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true })
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) report(name, describe(error))
    return []
  }
}

function readRef(path: string, name: string, buffer: Buffer, refs: Map<string, Oid>, report: Report): void {
  let length = 0
  try {
    const file = openSync(path, 'r')
    try {
      length = readSync(file, buffer, 0, buffer.length, 0)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) report(name, describe(error))
    return
  }
  const text = buffer.toString('latin1', 0, length)
  if (text.startsWith('ref:')) return
  const oid = text.slice(0, 40)
  // Like Git, which allows anything after the id as long as white space parts them.
  if (isOid(oid) && (length === 40 || /\s/.test(text.charAt(40)))) refs.set(name, oid)
  else report(name, 'the file does not hold an object id')
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
