import { closeSync, openSync, readSync } from 'node:fs'

/** Memory that a file gets at first; a longer one has twice as much each time. */
const FIRST_BYTES = 16 * 1024

/**
 * Reads a small file, pipe or device without trusting its size: at most `limit` bytes, `undefined` when there are more.
 * Throws the system's errors.
 */
export function readBounded(file: string, limit: number): Uint8Array | undefined {
  let buffer = Buffer.alloc(Math.min(limit + 1, FIRST_BYTES))
  const handle = openSync(file, 'r')
  try {
    let length = 0
    while (length <= limit) {
      if (length === buffer.length) {
        buffer = Buffer.concat([buffer], Math.min(limit + 1, 2 * length))
      }
      const count = readSync(handle, buffer, length, buffer.length - length, null)
      if (count === 0) return buffer.subarray(0, length)
      length += count
    }
    return undefined
  } finally {
    closeSync(handle)
  }
}
