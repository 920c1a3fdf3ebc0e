import { link, open, rename, rm } from 'node:fs/promises'

export interface WriteFileOptions {
  /** Permissions of the file; default `0o666`, less what the process's umask takes away. */
  readonly mode?: number
  /** Whether a file that is there already gives way; without it the system's `EEXIST` is thrown. */
  readonly replace?: boolean
}

/**
 * Writes a small file: whole and on disk, or not at all. Readers see the old file or the new one, never a part.
 * Throws the system's errors.
 */
export async function writeFileAtomically(
  path: string,
  contents: string | Uint8Array,
  options: WriteFileOptions = {},
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    await rm(temporary, { force: true })
    const file = await open(temporary, 'wx', options.mode ?? 0o666)
    try {
      await file.writeFile(contents)
      await file.sync()
    } finally {
      await file.close()
    }
    if (options.replace) await rename(temporary, path)
    else await link(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}
