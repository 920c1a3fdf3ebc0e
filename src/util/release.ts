/** Buffers below this are not worth it. */
const SMALLEST = 16 * 1024

/**
 * Gives the memory of a buffer back at once. The buffer is empty from then on, and so is all that lies in the same memory: only for who
 * knows that nobody else has any of it.
 *
 * Left to the collector, a buffer that streams through is often taken for long-lived, as it was under way at two collections of young
 * objects, and waits for a full one: tens of megabytes of them at a time. Leaves alone what is small, what is shared, and what Node cuts
 * small buffers from.
 */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < SMALLEST) return
  try {
    buffer.transfer(0)
  } catch (error) {
    // What Node cuts small buffers from cannot be detached.
    if (!(error instanceof TypeError)) throw error
  }
}

/** Releases a buffer's memory when this part is its end, and all before it has been read too. */
export function releaseEnd(part: Uint8Array): void {
  if (part.byteLength > 0 && part.byteOffset + part.byteLength === part.buffer.byteLength) release(part)
}

const givenUp = new WeakSet<ArrayBufferLike>()

/**
 * Marks a buffer that nobody but the connection it is sent on has any use for: it is released as soon as its last byte was encrypted.
 * Returns it. Small buffers, which share their memory with others, are left alone.
 */
export function giveUp<T extends Uint8Array>(bytes: T): T {
  if (bytes.byteLength === bytes.buffer.byteLength) givenUp.add(bytes.buffer)
  return bytes
}

/** Releases a buffer that was given up, when this is its end. */
export function releaseGivenUp(part: Uint8Array): void {
  if (part.byteOffset + part.byteLength < part.buffer.byteLength || !givenUp.has(part.buffer)) return
  givenUp.delete(part.buffer)
  release(part)
}
