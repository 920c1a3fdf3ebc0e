import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of dropped buffers after which a collection of young objects is worth its fraction of a millisecond. */
const THRESHOLD = 4 * 1024 * 1024

/**
 * Has the memory of short-lived buffers given back soon.
 *
 * V8 counts buffers' memory apart from its heap and lets some 64 MB of dropped ones pile up in every thread before it
 * looks. Code that streams gigabytes through buffers, in several threads, would show that as its memory use. A
 * collection of the young generation finds nearly all of them.
 *
 * @returns a function to be told of every buffer's length as it is dropped
 */
export function createReclaimer(): (bytes: number) => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void
  let dropped = 0
  return (bytes) => {
    dropped += bytes
    if (dropped < THRESHOLD) return
    dropped = 0
    collect({ type: 'minor' })
  }
}

let ofThread: ((bytes: number) => void) | undefined

/** The same for all of a thread that say so: tells of a buffer's length as it is dropped. */
export function reclaim(bytes: number): void {
  ofThread ??= createReclaimer()
  ofThread(bytes)
}
