/** Small pieces for files that must survive a crash, and for noticing that somebody replaced one. */
import type { BigIntStats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'

/**
 * Which state of a file was seen, as opaque text: two equal versions mean the same content (a file that Git replaces
 * gets another inode or another time). `ABSENT` when there is no file.
 */
export type FileVersion = string

/** Version of a file that does not exist. */
export const ABSENT: FileVersion = 'absent'

/** The version that these facts of a file make. */
export function versionOf(stats: BigIntStats): FileVersion {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}

/** The version of the file at `path` now. */
export async function fileVersion(path: string): Promise<FileVersion> {
  const stats = await ifPresent(stat(path, { bigint: true }))
  return stats === undefined ? ABSENT : versionOf(stats)
}

/** Makes renames, links and removals in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** Writes all of the bytes, from `position` on or where the file stands. */
export async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** Fills the buffer from `position` on; returns how many bytes there were before the file's end. */
export async function readFully(file: FileHandle, buffer: Uint8Array, position: number): Promise<number> {
  let done = 0
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

/** What the promise gives, or `undefined` when it fails because a file or directory is not there. */
export async function ifPresent<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

/** Whether this is one of the operating system's errors with one of these codes. */
export function isSystemError(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
  )
}
