import { createHash } from 'node:crypto'
import { lstat, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'

import { ControlSocketError } from './errors.ts'

/** Longest path of a unix socket in bytes: Linux takes 107, macOS 103. */
export const MAX_SOCKET_PATH = 103

const HASHED_NAME_LENGTH = 16

/**
 * Where the control socket of the repository with this folder of ours is: in the folder, or, when that path is too long
 * for a socket, under a name made of its hash in a private folder below `XDG_RUNTIME_DIR` or the system's temporary one.
 *
 * @param ownDir - `<git dir>/gachix`
 */
export function controlSocketPath(ownDir: string): string {
  const folder = resolve(ownDir)
  const path = join(folder, 'control.sock')
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path
  const name = createHash('sha256').update(folder).digest('hex').slice(0, HASHED_NAME_LENGTH)
  return join(privateFolder(), `${name}.sock`)
}

/**
 * Makes the folder of a control socket where it is missing.
 *
 * @throws ControlSocketError when it is the shared-place fallback and someone else could put a socket there
 */
export async function ensureSocketFolder(path: string): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (folder !== privateFolder()) return
  const stats = await lstat(folder)
  if (!stats.isDirectory() || stats.uid !== process.getuid?.() || (stats.mode & 0o077) !== 0) {
    throw new ControlSocketError(path, `${folder} must be a folder of this user with mode 0700; remove it`)
  }
}

function privateFolder(): string {
  const runtime = process.env.XDG_RUNTIME_DIR
  const base = runtime !== undefined && isAbsolute(runtime) ? runtime : tmpdir()
  return join(base, `gachix-${process.getuid?.() ?? 'user'}`)
}
