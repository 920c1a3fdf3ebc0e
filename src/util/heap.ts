import { setFlagsFromString } from 'node:v8'

/** Milliseconds without work after which V8 may reduce the heap: a day, where its own default is 8 seconds. */
const REDUCE_AFTER = 86_400_000

/**
 * Keeps V8 from making the heap as small as it can whenever there is nothing to do. What it saves is some 15 MB, and from then on it
 * collects the whole heap for every few megabytes of buffers: a node that had been at rest for half a minute took twice the processor
 * time for what its peers pulled from it.
 */
export function keepHeap(): void {
  setFlagsFromString(`--gc-memory-reducer-start-delay-ms=${REDUCE_AFTER}`)
}
