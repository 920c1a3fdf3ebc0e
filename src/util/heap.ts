import { setFlagsFromString } from 'node:v8'

/** Milliseconds without work after which V8 may reduce the heap: a day, where its own default is 8 seconds. */
const REDUCE_AFTER = 86_400_000
/** By how much of what is in use V8 may let the heap grow until it collects all of it, in percent, or 8 MB where that is more: its own bound is up to 300. */
const GROWTH = 10

/**
 * Keeps V8 from making the heap as small as it can whenever there is nothing to do. What it saves is some 15 MB, and from then on it
 * collects the whole heap for every few megabytes of buffers: a node that had been at rest for half a minute took twice the processor
 * time for what its peers pulled from it.
 *
 * And keeps it from growing to twice what is in use while there is much to do: of 80 MB of what a pull leaves behind, some 50 waited
 * for the next collection. Buffers that stream through are given back without one (`release.ts`), so there are hardly more of them.
 */
export function keepHeap(): void {
  setFlagsFromString(`--gc-memory-reducer-start-delay-ms=${REDUCE_AFTER}`)
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`)
}
