/**
 * Copies of buffers, one after the other, in memory of their own. Small buffers are otherwise cut from 64 KiB that many share: whoever keeps one
 * of them keeps all of that, and whoever sends it to another thread has all of that copied.
 */
export function ownCopy(parts: readonly Uint8Array[]): Buffer {
  const copy = Buffer.allocUnsafeSlow(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    copy.set(part, at)
    at += part.length
  }
  return copy
}
