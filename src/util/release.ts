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

const givenUp = new WeakMap<ArrayBufferLike, { readonly end: number; readonly done: Done }>()

/** Gets the last part of what was given up. */
type Done = (bytes: Uint8Array) => void

/**
 * Marks bytes that nobody but whoever passes them on has any use for: their memory is given back as soon as the last of them was passed on, see
 * `releaseGivenUp`. Returns them.
 *
 * @param done gives the memory back; by default `release`, and bytes that share theirs with others are left alone
 */
export function giveUp<T extends Uint8Array>(bytes: T, done?: Done): T {
  const { buffer, byteOffset, byteLength } = bytes
  if (done !== undefined || byteLength === buffer.byteLength)
    givenUp.set(buffer, { end: byteOffset + byteLength, done: done ?? release })
  return bytes
}

/** Tells that a part was passed on. Gives back what was given up when this is its end. */
export function releaseGivenUp(part: Uint8Array): void {
  const given = givenUp.get(part.buffer)
  if (given === undefined || part.byteOffset + part.byteLength < given.end) return
  givenUp.delete(part.buffer)
  given.done(part)
}

/** Whether somebody has given up the memory of these bytes. */
export function isGivenUp({ buffer }: Uint8Array): boolean {
  return givenUp.has(buffer)
}
