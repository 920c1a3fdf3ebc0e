import { open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  ABSENT,
  type FileVersion,
  fileVersion,
  ifPresent,
  readFully,
  syncDirectory,
  versionOf,
  writeFully,
} from '../durable-file.ts'
import { PackedRefsTooLargeError } from './ref-errors.ts'

/** Largest `packed-refs` file that is opened: some twelve million refs. */
export const MAX_PACKED_REFS_BYTES = 1024 * 1024 * 1024

const WRITE_BYTES = 4 * 1024 * 1024

/**
 * Reads a whole `packed-refs` file and the state in which it was; no bytes when there is none.
 *
 * @throws PackedRefsTooLargeError
 */
export async function readPackedRefsFile(path: string): Promise<{ bytes: Buffer; version: FileVersion }> {
  const file = await ifPresent(open(path, 'r'))
  if (file === undefined) return { bytes: Buffer.alloc(0), version: ABSENT }
  try {
    const stats = await file.stat({ bigint: true })
    const size = Number(stats.size)
    if (size > MAX_PACKED_REFS_BYTES) throw new PackedRefsTooLargeError(path, size, MAX_PACKED_REFS_BYTES)
    const buffer = Buffer.allocUnsafeSlow(size)
    const length = await readFully(file, buffer, 0)
    return { bytes: buffer.subarray(0, length), version: versionOf(stats) }
  } finally {
    await file.close()
  }
}

/**
 * Replaces a `packed-refs` file: temporary file, sync, rename, sync of the directory. The caller holds Git's
 * `packed-refs.lock`.
 *
 * @param temporary where the new file is made, in the same file system; what is there is overwritten
 * @returns the state of the new file
 * @throws PackedRefsTooLargeError when gachix could not open the result
 */
export async function writePackedRefsFile(
  path: string,
  temporary: string,
  bytes: Uint8Array,
): Promise<FileVersion> {
  if (bytes.length > MAX_PACKED_REFS_BYTES) {
    throw new PackedRefsTooLargeError(path, bytes.length, MAX_PACKED_REFS_BYTES)
  }
  const replaced = await ifPresent(stat(path))
  const file = await open(temporary, 'w')
  try {
    // Whoever may read the refs now (a shared repository) may read them afterwards.
    if (replaced !== undefined) await file.chmod(replaced.mode & 0o777)
    for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
      await writeFully(file, bytes.subarray(at, at + WRITE_BYTES), at)
    }
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncDirectory(dirname(path))
  return await fileVersion(path)
}
