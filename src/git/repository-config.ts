import nodeFs from 'node:fs'
import { open, readFile, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import git, { type FsClient } from 'isomorphic-git'
import { readGitConfig } from './config-reader.ts'
import { ifPresent, syncDirectory, writeFully } from './durable-file.ts'
import { GitFileLock } from './git-file-lock.ts'
import { UnsupportedRepositoryError } from './repository-errors.ts'

/**
 * What keeps spliceable packs as they are: no deltas on repack, no automatic repack, and no fetch that is exploded into
 * loose objects. And what lets a stock `git-upload-pack`, behind sshd for instance, serve single packages as we do: those who fetch
 * name objects by their ids, and leave out blobs that they have.
 */
const SETTINGS = [
  ['pack.window', '0'],
  ['gc.auto', '0'],
  ['transfer.unpackLimit', '1'],
  ['uploadpack.allowFilter', 'true'],
  ['uploadpack.allowAnySHA1InWant', 'true'],
] as const

/** Extensions that change nothing of what gachix reads and writes. */
const HARMLESS_EXTENSIONS: ReadonlySet<string> = new Set([
  'noop',
  'noop-v1',
  'preciousobjects',
  'worktreeconfig',
  'relativeworktrees',
])

/** The repository's own settings by lower-case key; the last one where several are given. */
type Settings = ReadonlyMap<string, string>

/**
 * Sets what gachix needs where the repository says nothing on it.
 *
 * @param ownDir gachix's folder in the repository
 * @throws GitFileLockedError, GitConfigError
 */
export async function setMissingSettings(gitDir: string, ownDir: string): Promise<void> {
  const settings = await readSettings(gitDir)
  const missing = SETTINGS.filter(([key]) => !settings.has(key.toLowerCase()))
  if (missing.length === 0) return
  const config = join(gitDir, 'config')
  const lock = await GitFileLock.acquire(config, join(ownDir, 'git-lock'))
  try {
    const edited = { text: (await ifPresent(readFile(config, 'utf8'))) ?? '' }
    const fs = inMemory(edited)
    for (const [path, value] of missing) await git.setConfig({ fs, gitdir: gitDir, path, value })
    await replaceFile(config, join(ownDir, `config.${process.pid}`), `${edited.text}\n`)
  } finally {
    await lock.release()
  }
}

/**
 * Checks that the repository is in the format that gachix knows: SHA-1 ids, refs in files, no extension that it cannot
 * honour.
 *
 * @throws UnsupportedRepositoryError, GitConfigError
 */
export async function checkFormat(gitDir: string): Promise<void> {
  const settings = await readSettings(gitDir)
  const version = settings.get('core.repositoryformatversion') ?? '0'
  if (version !== '0' && version !== '1') {
    throw new UnsupportedRepositoryError(gitDir, `its format version is ${version}; gachix knows 0 and 1`)
  }
  for (const [key, value] of settings) {
    if (!key.startsWith('extensions.')) continue
    const reason = unsupported(key.slice('extensions.'.length), value, version)
    if (reason !== undefined) throw new UnsupportedRepositoryError(gitDir, reason)
  }
}

/** Why an extension keeps gachix from using a repository. */
function unsupported(extension: string, value: string, version: string): string | undefined {
  if (extension === 'objectformat') {
    if (value === 'sha1') return undefined
    return `its object ids are ${value}; gachix needs SHA-1. Make a repository with git init --object-format=sha1`
  }
  if (extension === 'refstorage') {
    if (value === 'files') return undefined
    return `its refs are kept as ${value}; gachix needs files. Convert it with git refs migrate --ref-format=files`
  }
  // In version 0 Git ignores the extensions that it does not know.
  if (version === '0' || HARMLESS_EXTENSIONS.has(extension)) return undefined
  return `it uses the extension ${extension}, which gachix does not know`
}

async function readSettings(gitDir: string): Promise<Settings> {
  const path = join(gitDir, 'config')
  const text = (await ifPresent(readFile(path, 'utf8'))) ?? ''
  return new Map(readGitConfig(text, path).map(({ key, value }) => [key, value]))
}

/**
 * A file system of one file for isomorphic-git's configuration editor, which would write the real one in place: a crash
 * could leave half of it. Without the last newline, since the editor begins a section on a line of its own.
 */
function inMemory(file: { text: string }): FsClient {
  file.text = file.text.replace(/\n$/, '')
  const readFile = async (): Promise<string> => file.text
  const writeFile = async (_path: string, text: string): Promise<void> => {
    file.text = text
  }
  return { promises: { ...nodeFs.promises, readFile, writeFile } }
}

async function replaceFile(path: string, temporary: string, text: string): Promise<void> {
  const replaced = await ifPresent(stat(path))
  const file = await open(temporary, 'w')
  try {
    if (replaced !== undefined) await file.chmod(replaced.mode & 0o777)
    await writeFully(file, Buffer.from(text), 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncDirectory(dirname(path))
}
