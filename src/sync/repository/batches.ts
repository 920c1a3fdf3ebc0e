import { BATCH_BYTES, BATCH_PACKAGES } from '../limits.ts'
import type { Found } from '../source/link.ts'

/** Cuts packages into what is fetched and published together, keeping their order. */
export function* inBatches<T extends Found>(packages: readonly T[]): Generator<readonly T[]> {
  let batch: T[] = []
  let bytes = 0
  for (const found of packages) {
    const full = batch.length === BATCH_PACKAGES || bytes + found.info.narSize > BATCH_BYTES
    if (full && batch.length > 0) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(found)
    bytes += found.info.narSize
  }
  if (batch.length > 0) yield batch
}
