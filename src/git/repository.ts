import fs from 'node:fs'
import { access, constants, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import git from 'isomorphic-git'
import { ifPresent, isSystemError, syncDirectory } from './durable-file.ts'
import { findGitDir, readIfFile } from './git-dir.ts'
import { checkFormat, setMissingSettings } from './repository-config.ts'
import { NotARepositoryError, RepositoryPermissionError } from './repository-errors.ts'

export interface RepositoryOptions {
  /** Make a bare repository where there is nothing, or an empty directory. */
  create?: boolean
  /** Change nothing on the disk. */
  readOnly?: boolean
}

/** What an interrupted `init` can have left behind; all else at the path is somebody's. */
const SKELETON: ReadonlySet<string> = new Set(['HEAD', 'config', 'hooks', 'info', 'objects', 'refs'])

/** Where a Git repository keeps its things. Opening takes no lock: see `RepositoryLock`. */
export class Repository {
  /** The repository itself when it is bare, else its `.git`; of a linked worktree the main repository's. */
  readonly gitDir: string

  private constructor(gitDir: string) {
    this.gitDir = gitDir
  }

  /** The object directory. */
  get objectsDir(): string {
    return join(this.gitDir, 'objects')
  }

  /** gachix's own files: lock, journal, sidecars. All of it can be rebuilt or done without. */
  get ownDir(): string {
    return join(this.gitDir, 'gachix')
  }

  /** Files in the making. */
  get tmpDir(): string {
    return join(this.ownDir, 'tmp')
  }

  /**
   * Opens the repository at `path`, bare or not, or makes one. Opened for writing it gets the settings that keep packs
   * fit for splicing, where it has none of its own, and gachix's folder.
   *
   * @throws NotARepositoryError, UnsupportedRepositoryError, RepositoryPermissionError, GitConfigError, GitFileLockedError
   */
  static async open(path: string, options: RepositoryOptions = {}): Promise<Repository> {
    const absolute = resolve(path)
    try {
      const gitDir =
        (await findGitDir(absolute)) ?? (options.create && !options.readOnly && (await createBare(absolute)))
      if (!gitDir) throw new NotARepositoryError(absolute, await describe(absolute))
      const repository = new Repository(gitDir)
      await repository.#check(options.readOnly ? 'read' : 'write')
      if (!options.readOnly) await repository.#prepare()
      return repository
    } catch (error) {
      if (!isSystemError(error, 'EACCES', 'EPERM', 'EROFS')) throw error
      throw new RepositoryPermissionError(error.path ?? absolute, options.readOnly ? 'read' : 'write', {
        cause: error,
      })
    }
  }

  /** Removes what an earlier process left in `tmpDir`. Only the holder of the `RepositoryLock` may do this. */
  async cleanTemporary(): Promise<void> {
    await rm(this.tmpDir, { recursive: true, force: true })
    await mkdir(this.tmpDir, { recursive: true, mode: 0o700 })
  }

  async #check(purpose: 'read' | 'write'): Promise<void> {
    const { R_OK, W_OK, X_OK } = constants
    const mode = purpose === 'read' ? R_OK | X_OK : R_OK | W_OK | X_OK
    for (const directory of [this.gitDir, this.objectsDir, join(this.gitDir, 'refs')])
      await access(directory, mode)
    await checkFormat(this.gitDir)
  }

  async #prepare(): Promise<void> {
    for (const directory of [this.ownDir, this.tmpDir])
      await mkdir(directory, { recursive: true, mode: 0o700 })
    await setMissingSettings(this.gitDir, this.ownDir)
  }
}

/** @returns the path, or `undefined` when it holds something else */
async function createBare(path: string): Promise<string | undefined> {
  const stats = await ifPresent(stat(path))
  if (stats !== undefined && !(await isEmptyOrUnfinished(path))) return undefined
  await mkdir(path, { recursive: true })
  // isomorphic-git leaves everything alone where there is a configuration, and writes HEAD last.
  await rm(join(path, 'config'), { force: true })
  await git.init({ fs, dir: path, bare: true, defaultBranch: 'main' })
  const head = await open(join(path, 'HEAD'), 'r+')
  try {
    await head.sync()
  } finally {
    await head.close()
  }
  await syncDirectory(path)
  return path
}

/** Whether a directory is empty or has nothing but the skeleton of a repository whose making was interrupted. */
async function isEmptyOrUnfinished(path: string): Promise<boolean> {
  const names = await ifPresent(readdir(path))
  if (names === undefined || !names.every((name) => SKELETON.has(name))) return false
  if (names.length === 0) return true
  if (await readIfFile(join(path, 'HEAD'))) return false
  const config = (await readIfFile(join(path, 'config'))) ?? ''
  if (config !== '' && !config.startsWith('[core]')) return false
  // The first directories come before `objects`, all files after it.
  const mayHaveFiles = names.includes('objects')
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue
    if (!mayHaveFiles || entry.parentPath !== path || !SKELETON.has(entry.name)) return false
  }
  return true
}

async function describe(path: string): Promise<string> {
  const stats = await ifPresent(stat(path))
  if (stats === undefined) return 'it does not exist'
  if (!stats.isDirectory()) return 'it is not a directory'
  const empty = (await readdir(path)).length === 0
  return empty ? 'it is empty' : 'it holds other files; name an empty directory or one that does not exist'
}
