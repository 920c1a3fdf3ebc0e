/** The space that a folder takes. */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

export interface FolderSize {
  readonly files: number
  /** Lengths of all files together. */
  readonly bytes: number
  /** What they take on the disk, in whole blocks. */
  readonly allocated: number
}

/** Adds up the regular files below a folder. Folders themselves are not counted. */
export async function folderSize(folder: string): Promise<FolderSize> {
  let files = 0
  let bytes = 0
  let allocated = 0
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const { size, blocks } = await lstat(join(entry.parentPath, entry.name))
    files++
    bytes += size
    allocated += blocks * 512
  }
  return { files, bytes, allocated }
}
