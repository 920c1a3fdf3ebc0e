import { type FileHandle, open, rename, stat } from 'node:fs/promises'
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
import { PackedRefsScanner, type ScannedRefs, scanPackedRefs } from './packed-refs-scan.ts'
import { PackedRefsTooLargeError } from './ref-errors.ts'

/** Largest `packed-refs` file that is opened: six million packages, which take 360 MB of memory. */
export const MAX_PACKED_REFS_BYTES = 1024 * 1024 * 1024

/** Bytes that are read at a time: 2 ms of scanning. */
const READ_BYTES = 1024 * 1024

/**
 * Reads a `packed-refs` file and the state in which it was, a piece after the other; without refs when there is none.
 *
 * @throws PackedRefsError, PackedRefsTooLargeError
 */
export async function loadPackedRefs(path: string): Promise<{ scanned: ScannedRefs; version: FileVersion }> {
  const file = await ifPresent(open(path, 'r'))
  if (file === undefined) return { scanned: scanPackedRefs(Buffer.alloc(0), path), version: ABSENT }
  try {
    const stats = await file.stat({ bigint: true })
    const size = Number(stats.size)
    if (size > MAX_PACKED_REFS_BYTES) throw new PackedRefsTooLargeError(path, size, MAX_PACKED_REFS_BYTES)
    return {
      scanned: (await scanFile(file, size, path)) ?? (await sortFile(file, size, path)),
      version: versionOf(stats),
    }
  } finally {
    await file.close()
  }
}

async function scanFile(file: FileHandle, size: number, path: string): Promise<ScannedRefs | undefined> {
  const scanner = new PackedRefsScanner(path, size)
  let buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  /** Bytes at the beginning of the buffer that have not been taken yet. */
  let waiting = 0
  for (let at = 0; ; ) {
    const read = await readFully(file, buffer.subarray(waiting), at)
    at += read
    const filled = waiting + read
    const taken = scanner.add(buffer.subarray(0, filled), filled < buffer.length)
    if (filled < buffer.length) return scanner.finish()
    waiting = filled - taken
    // A line that has no end yet.
    const next = waiting > buffer.length / 2 ? Buffer.allocUnsafeSlow(2 * buffer.length) : buffer
    buffer.copy(next, 0, taken, filled)
    buffer = next
  }
}

/** Reads a file that is not in order. */
async function sortFile(file: FileHandle, size: number, path: string): Promise<ScannedRefs> {
  const bytes = Buffer.allocUnsafeSlow(size)
  return scanPackedRefs(bytes.subarray(0, await readFully(file, bytes, 0)), path)
}

/** What a file is to hold. */
export interface FileContent {
  /** In bytes. */
  readonly length: number
  /** The bytes, each piece to be used before the next one is asked for. */
  pieces(): Iterable<Uint8Array>
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
  content: FileContent,
): Promise<FileVersion> {
  if (content.length > MAX_PACKED_REFS_BYTES) {
    throw new PackedRefsTooLargeError(path, content.length, MAX_PACKED_REFS_BYTES)
  }
  const replaced = await ifPresent(stat(path))
  const file = await open(temporary, 'w')
  try {
    // Whoever may read the refs now (a shared repository) may read them afterwards.
    if (replaced !== undefined) await file.chmod(replaced.mode & 0o777)
    let at = 0
    for (const piece of content.pieces()) {
      await writeFully(file, piece, at)
      at += piece.length
    }
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncDirectory(dirname(path))
  return await fileVersion(path)
}
