/**
 * Copies of buffers, one after the other, in memory of their own. Small buffers are otherwise cut from slabs that many share (`slabs.ts`): whoever
 * keeps one of them keeps its slab, and whoever sends one to another thread has the whole slab copied.
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
