import { closeSync, openSync, readSync } from 'node:fs'

/**
 * Reads a small file, pipe or device without trusting its size: at most `limit` bytes, `undefined` when there are more.
 * Throws the system's errors.
 */
export function readBounded(file: string, limit: number): Uint8Array | undefined {
  const buffer = Buffer.alloc(limit + 1)
  const handle = openSync(file, 'r')
  try {
    let length = 0
    while (length <= limit) {
      const count = readSync(handle, buffer, length, buffer.length - length, null)
      if (count === 0) return buffer.subarray(0, length)
      length += count
    }
    return undefined
  } finally {
    closeSync(handle)
  }
}
