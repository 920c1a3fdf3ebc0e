import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ifPresent, isSystemError } from './durable-file.ts'

const VALID_HEAD = /^(?:ref:\s*refs\/|[0-9a-f]{40}\s*$)/

/**
 * The Git directory of the repository at `path`: the path itself when it is bare, or what `.git` is or points to; of a
 * linked worktree that of the main repository. Directories above the path are not searched.
 *
 * @returns `undefined` when there is no repository
 */
export async function findGitDir(path: string): Promise<string | undefined> {
  const absolute = resolve(path)
  if (await isGitDir(absolute)) return absolute
  const inside = join(absolute, '.git')
  if (await isGitDir(inside)) return inside
  const pointer = await readIfFile(inside)
  if (pointer === undefined || !pointer.startsWith('gitdir:')) return undefined
  const target = resolve(absolute, pointer.slice('gitdir:'.length).trim())
  if (await isGitDir(target)) return target
  const common = await readIfFile(join(target, 'commondir'))
  if (common === undefined) return undefined
  const main = resolve(target, common.trim())
  return (await isGitDir(main)) ? main : undefined
}

async function isGitDir(path: string): Promise<boolean> {
  const head = await readIfFile(join(path, 'HEAD'))
  if (head === undefined || !VALID_HEAD.test(head)) return false
  const parts = await Promise.all(['objects', 'refs'].map((name) => ifPresent(stat(join(path, name)))))
  return parts.every((part) => part?.isDirectory() === true)
}

/** Content of a file of a line or two; `undefined` when there is none, or a directory. */
export async function readIfFile(path: string): Promise<string | undefined> {
  try {
    return await ifPresent(readFile(path, 'utf8'))
  } catch (error) {
    if (isSystemError(error, 'EISDIR')) return undefined
    throw error
  }
}
